package strict_test

import (
	"strings"
	"testing"

	"ha-iris/internal/strict"
)

const noNull = "got nothing, want a value, or no such key: null takes nothing away"

// Null below a key that the user chose is meant to take something away, as it does for Helm, and would do nothing.
func TestDecode_RefusesNullForAKeyOfTheUsers(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"values":{"persistence":null}}`:                      "iris.values.persistence: " + noNull,
		`{"values":{"a":{"b":{"c":null}}}}`:                    "iris.values.a.b.c: " + noNull,
		`{"values":{"a":[{"b":null}]}}`:                        "iris.values.a[0].b: " + noNull,
		`{"values":{"a":[null]}}`:                              "iris.values.a[0]: got nothing, want a value",
		`{"cpf":{"Startup":null}}`:                             "iris.cpf.Startup: " + noNull,
		`{"cpf":{"Startup":{"a":null}}}`:                       "iris.cpf.Startup.a: " + noNull,
		`{"tags":{"a":null}}`:                                  "iris.tags.a: " + noNull,
		`{"inner":{"typ":null}}`:                               "iris.inner.typ: got a key that does not exist",
		`{"nodez":null}`:                                       "iris.nodez: got a key that does not exist",
		`{"tags":{"a":null,"b":1},"values":{"x":null,"y":{}}}`: "iris.tags.a: " + noNull + "\niris.tags.b: got 1",
	} {
		got := outer{Tags: map[string]string{"default": "x"}}
		err := strict.Decode([]byte(content), "iris", &got)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", content, err, want)
		}
		if got.CPF != nil || got.Values != nil || got.Tags["default"] != "x" {
			t.Errorf("a refused value must leave the default, got %+v", got)
		}
	}
}

func TestDecode_ReadsOneObjectOnly(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`{"nodes":3}{"nodes":4}`, `{"nodes":3} x`, `{"nodes":3}}`, `{"nodes":3},`, `null null`} {
		got := outer{Nodes: 7}
		err := strict.Decode([]byte(content), "iris", &got)
		if err == nil || got.Nodes != 7 || !strings.Contains(err.Error(), "want an object with the keys nodes, ") {
			t.Errorf("%s: got %+v, %v", content, got, err)
		}
	}
	var got outer
	if err := strict.Decode([]byte(" {\"nodes\": 3} \n"), "iris", &got); err != nil || got.Nodes != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A string that pulumi config set was given is JSON as somebody wrote it.
func TestDecode_RefusesAKeyThatIsGivenTwice(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"nodes":3,"nodes":4}`:                         "iris.nodes",
		`{"nodes":3,"n\u006fdes":4}`:                    "iris.nodes",
		`{"inner":{"type":"a"},"inner":{"type":"b"}}`:   "iris.inner",
		`{"inner":{"type":"a","type":"a"},"nodes":1}`:   "iris.inner.type",
		`{"values":{"l":[[],{"a":1},{"b":2,"b":[3]}]}}`: "iris.values.l[2].b",
		`{"values":{"a":{"b":{}},"c":[1,[2]],"a":1}}`:   "iris.values.a",
	} {
		var got outer
		err := strict.Decode([]byte(content), "iris", &got)
		if err == nil || err.Error() != want+": got the same key again, want each key once" {
			t.Errorf("%s: got %v", content, err)
		}
	}
	var got outer
	if err := strict.Decode([]byte(`{"values":{"a":{"a":1},"b":[{"a":1},{"a":2}]},"tags":{"a":"a"}}`), "iris", &got); err != nil {
		t.Errorf("got %v", err)
	}
}
