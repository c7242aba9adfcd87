package strict_test

import (
	"strings"
	"testing"

	"ha-iris/internal/strict"
)

type inner struct {
	Type   string   `json:"type"`
	Ranges []string `json:"ranges"`
}

type outer struct {
	Nodes    int               `json:"nodes"`
	Fraction float64           `json:"fraction"`
	Enabled  bool              `json:"enabled"`
	Size     string            `json:"size"`
	Tags     map[string]string `json:"tags"`
	Inner    inner             `json:"inner"`
	Values   map[string]any    `json:"values"`
	Ignored  string            `json:"-"`
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

func TestDecode_TakesANumberForAString(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{`{"size":2}`: "2", `{"size":1.35}`: "1.35"} {
		var got outer
		if err := strict.Decode([]byte(content), "iris", &got); err != nil || got.Size != want {
			t.Errorf("%s: got %q, %v", content, got.Size, err)
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
