package strict_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"ha-iris/internal/strict"
)

type inner struct {
	Type   string   `json:"type"`
	Ranges []string `json:"ranges"`
}

type outer struct {
	Nodes    int                          `json:"nodes"`
	Fraction float64                      `json:"fraction"`
	Enabled  bool                         `json:"enabled"`
	Size     string                       `json:"size"`
	Cores    string                       `json:"cores" strict:"number"`
	Zones    []string                     `json:"zones" strict:"number"`
	Tags     map[string]string            `json:"tags"`
	Inner    inner                        `json:"inner"`
	Values   map[string]any               `json:"values"`
	CPF      map[string]map[string]string `json:"cpf"`
	Ignored  string                       `json:"-"`
}

func TestDecode_FillsEveryType(t *testing.T) {
	t.Parallel()
	got := outer{Nodes: 1, Size: "default", Tags: map[string]string{"old": "x"}, Inner: inner{Type: "default"}}
	err := strict.Decode([]byte(`{"nodes":3,"fraction":2,"enabled":true,"tags":{"a":"b"},
		"inner":{"ranges":["10.0.0.0/8"]},"values":{"a":{"b":[1,2.5,"c"]}}}`), "iris", &got)
	if err != nil {
		t.Fatalf("valid input was refused: %v", err)
	}
	if got.Nodes != 3 || got.Fraction != 2 || !got.Enabled || got.Inner.Ranges[0] != "10.0.0.0/8" {
		t.Errorf("decoded wrongly: %+v", got)
	}
	if got.Size != "default" || got.Inner.Type != "default" {
		t.Errorf("a key that is not given must keep its default, got %q and %q", got.Size, got.Inner.Type)
	}
	if _, merged := got.Tags["old"]; merged {
		t.Error("a map given must replace the default, not be merged with it")
	}
}

func TestDecode_ReportsEveryMistakeWithItsPath(t *testing.T) {
	t.Parallel()
	var got outer
	err := strict.Decode([]byte(`{"nodes":"three","fraction":"x","enabled":"yes","sise":"10Gi","Nodes":1,
		"tags":["a"],"inner":{"typ":"t","ranges":"10.0.0.0/8"},"Ignored":"x"}`), "iris", &got)
	if err == nil {
		t.Fatal("invalid input was accepted")
	}
	for _, want := range []string{
		`iris.nodes: got "three", want a whole number`,
		`iris.fraction: got "x", want a number`,
		`iris.enabled: got "yes", want true or false`,
		`iris.sise: got a key that does not exist, want size, perhaps`,
		`iris.Nodes: got a key that does not exist, want nodes, perhaps`,
		`iris.tags: got ["a"], want an object`,
		`iris.inner.typ: got a key that does not exist, want type, perhaps`,
		`iris.inner.ranges: got "10.0.0.0/8", want a list`,
		`iris.Ignored: got a key that does not exist`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
}

func TestDecode_RefusesFractionsForWholeNumbers(t *testing.T) {
	t.Parallel()
	got := outer{Nodes: 3}
	err := strict.Decode([]byte(`{"nodes":2.5}`), "cluster", &got)
	if err == nil || !strings.Contains(err.Error(), "cluster.nodes: got 2.5, want a whole number") {
		t.Errorf("2.5 nodes: %v", err)
	}
	if got.Nodes != 3 {
		t.Errorf("a refused value must leave the default, got %d", got.Nodes)
	}
}

func TestDecode_ShowsListsAndObjectsAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	var got outer
	err := strict.Decode([]byte(`{"nodes":[3],"size":{"value":20,"fixed":true}}`), "iris", &got)
	for _, want := range []string{
		`iris.nodes: got [3], want a whole number`, `iris.size: got {"fixed":true,"value":20}, want a string`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDecode_TakesANumberForAStringWhereOnlyItsValueCounts(t *testing.T) {
	t.Parallel()
	var got outer
	if err := strict.Decode([]byte(`{"cores":1.5,"zones":[1,"2"]}`), "iris", &got); err != nil || got.Cores != "1.5" || got.Zones[0] != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// YAML has read these without quotes; what was written is lost.
func TestDecode_AsksForQuotesWhereverAStringIsRead(t *testing.T) {
	t.Parallel()
	const date = `"2026-11-27 00:00:00 +0000 UTC"`
	for value, why := range map[string]string{
		"34": "as a number", "1.3": "as a number", "1.2345678901234567e+19": "as a number", "12345678901234567890": "as a number",
		"true": "as true or false", "false": "as true or false", date: "takes it for a date",
	} {
		for content, path := range map[string]string{
			`{"size":%s}`: "iris.size", `{"tags":{"a.b/c":%s}}`: "iris.tags.a.b/c", `{"inner":{"type":%s}}`: "iris.inner.type",
			`{"inner":{"ranges":["x",%s]}}`: "iris.inner.ranges[1]", `{"cpf":{"config":{"key":%s}}}`: "iris.cpf.config.key",
		} {
			got := outer{Size: "default"}
			err := strict.Decode([]byte(fmt.Sprintf(content, value)), "iris", &got)
			want := fmt.Sprintf("%s: got %s, want a string in quotes (with pulumi config set: --type string): ", path, value)
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: got %v, want %s...%s", fmt.Sprintf(content, value), err, want, why)
			}
			if !reflect.DeepEqual(got, outer{Size: "default"}) {
				t.Errorf("a refused value must leave the default, got %+v", got)
			}
		}
	}
	var got outer
	if err := strict.Decode([]byte(`{"size":"0042","values":{"expires":`+date+`}}`), "iris", &got); err == nil ||
		got.Size != "0042" || !strings.HasPrefix(err.Error(), "iris.values.expires: got") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecode_NamesTheElementThatIsWrong(t *testing.T) {
	t.Parallel()
	got := outer{Zones: []string{"default"}}
	err := strict.Decode([]byte(`{"zones":["a",{"b":1},null],"cpf":{"config":"x"},"values":{"l":[null]}}`), "iris", &got)
	for _, want := range []string{
		`iris.zones[1]: got {"b":1}, want a string`, `iris.zones[2]: got nothing, want a string`,
		`iris.cpf.config: got "x", want an object`, `iris.values.l[0]: got nothing, want a value`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if got.Zones[0] != "default" || got.CPF != nil || got.Values != nil {
		t.Errorf("a refused value must leave the default, got %+v", got)
	}
}

func TestDecode_RefusesWhatItCouldOnlyKeepRounded(t *testing.T) {
	t.Parallel()
	for _, number := range []string{
		"99999999999999999999", "9007199254740993", "12345678901234567890", "1e999", "1e-999", "1e-999999999",
		"0.10000000000000000001", "123456789.123456789123",
	} {
		for _, content := range []string{`{"fraction":%s}`, `{"values":{"a":[%s]}}`, `{"nodes":%s}`} {
			var got outer
			err := strict.Decode([]byte(fmt.Sprintf(content, number)), "iris", &got)
			exactInt := number == "9007199254740993" && got.Nodes == 9007199254740993
			if err == nil && !exactInt {
				t.Errorf("%s was accepted as %+v", fmt.Sprintf(content, number), got)
			}
			if err != nil && !strings.Contains(err.Error(), "got "+number+", want") {
				t.Errorf("%s: the message does not show the number as given: %v", number, err)
			}
		}
	}
	for _, number := range []string{"1e3", "3.0", "2.5"} {
		got := outer{Nodes: 7}
		if err := strict.Decode([]byte(`{"nodes":`+number+`}`), "iris", &got); err == nil || got.Nodes != 7 {
			t.Errorf("%s nodes: got %d, %v", number, got.Nodes, err)
		}
	}
}

func TestDecode_RefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`[1]`, `"text"`, `3`, ``, `{`} {
		var got outer
		if err := strict.Decode([]byte(content), "iris", &got); err == nil {
			t.Errorf("%q was accepted", content)
		}
	}
}

func TestDecode_TakesNullForNotGiven(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`null`, `{"nodes":null,"inner":null}`, `{"inner":{"type":null}}`} {
		got := outer{Nodes: 3, Inner: inner{Type: "default"}}
		if err := strict.Decode([]byte(content), "iris", &got); err != nil || got.Nodes != 3 || got.Inner.Type != "default" {
			t.Errorf("%s: got %+v, %v", content, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"nodes":3,"inner":{"ranges":["a"]}}`))
	f.Add([]byte(`{"nodes":null,"tags":{"a":1},"values":{"x":[{}]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got := outer{Nodes: 3}
		if err := strict.Decode(content, "iris", &got); err == nil && got.Nodes == 0 && !strings.Contains(string(content), "0") {
			t.Errorf("%q silently cleared a default", content)
		}
	})
}

// FuzzDecode_Numbers holds every number that is accepted against the text that it was given as.
func FuzzDecode_Numbers(f *testing.F) {
	for _, seed := range []string{
		"0", "-0", "2", "0.10", "1.35", "1e3", "3.0", "1E+2", "9007199254740993", "99999999999999999999", "1e999", "5e-324",
		"0e999999999", "1e-999999999", "-1.5",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		if !json.Valid([]byte(number)) || strings.ContainsAny(number, "{}[]\"nft \r\n\t") {
			t.Skip("not a number")
		}
		for _, key := range []string{"nodes", "fraction", "cores"} {
			var got outer
			if err := strict.Decode([]byte(`{"`+key+`":`+number+`}`), "iris", &got); err != nil {
				continue
			}
			checkSame(t, number, map[string]any{"nodes": got.Nodes, "fraction": got.Fraction, "cores": got.Cores}[key])
		}
		var got outer
		if err := strict.Decode([]byte(`{"values":{"x":[`+number+`]}}`), "iris", &got); err == nil {
			list, _ := got.Values["x"].([]any)
			checkSame(t, number, list[0])
		}
		if err := strict.Decode([]byte(`{"size":`+number+`}`), "iris", &got); err == nil {
			t.Errorf("%s was taken for text", number)
		}
	})
}

// checkSame compares two numbers by value, without computing powers of ten that no machine holds.
func checkSame(t *testing.T, given string, kept any) {
	t.Helper()
	text := fmt.Sprint(kept)
	if text == given {
		return
	}
	if _, exponent, _ := strings.Cut(strings.ToLower(given), "e"); len(strings.TrimLeft(exponent, "+-0")) > 3 {
		if value, err := strconv.ParseFloat(given, 64); err != nil || value != 0 || text != "0" && text != "-0" {
			t.Errorf("%s became %s", given, text)
		}
		return
	}
	want, ok := new(big.Rat).SetString(given)
	got, okGot := new(big.Rat).SetString(text)
	if !ok || !okGot || want.Cmp(got) != 0 {
		t.Errorf("%s became %s", given, text)
	}
}
