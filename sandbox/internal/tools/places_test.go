package tools

import (
	"slices"
	"strings"
	"testing"
)

// A process whose home is another one would compile everything again, from a proxy that nobody chose.
func TestGoPlaces_AreTheCallers(t *testing.T) {
	t.Setenv("GOCACHE", t.TempDir())
	places, err := GoPlaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB"} {
		if !slices.ContainsFunc(places, func(one string) bool { return strings.HasPrefix(one, name+"=") && len(one) > len(name)+1 }) {
			t.Errorf("%s is not among %q", name, places)
		}
	}
}
