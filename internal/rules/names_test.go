package rules_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"ha-iris/internal/rules"
)

// FuzzNames: what is a name here is one for Kubernetes, and the other way round.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"iris", "a", "a-b", "-a", "a-", "a.b", "a..b", ".a", "A", "a_b", "", "a b", "a\n", "ü", "0", "example.com/name", "Example.com/Some_Thing.x",
		"/name", "example.com/", "a/b/c", "example.com/-name", "\u212a", "İ.example.com/\u212a", "_x", "x_", strings.Repeat("a", 63), strings.Repeat("a", 64),
		strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 127) + "a", strings.Repeat("a.", 126) + "a/" + strings.Repeat("a", 63),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := rules.IsLabel(text), len(validation.IsDNS1123Label(text)) == 0; got != want {
			t.Errorf("label %q: got %t, Kubernetes says %t", text, got, want)
		}
		if got, want := rules.IsSubdomain(text), len(validation.IsDNS1123Subdomain(text)) == 0; got != want {
			t.Errorf("subdomain %q: got %t, Kubernetes says %t", text, got, want)
		}
		// As apimachinery's ValidateAnnotations does it.
		if got, want := rules.IsAnnotationKey(text), len(validation.IsQualifiedName(strings.ToLower(text))) == 0; got != want {
			t.Errorf("annotation %q: got %t, Kubernetes says %t", text, got, want)
		}
	})
}
