package iris

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestParseSize_TakesANumberWithAUnit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"20Gi": 20 * gib, "0.5Gi": gib / 2, "1536Mi": 1536 * mib, "10G": 10_000_000_000, "1Ti": 1024 * gib,
	} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "20", "20GB", "20gi", "Gi", "-20Gi", "+20Gi", " 20Gi", "20 Gi", "2e3Gi", "1.Gi", ".5Gi", "20Gi\n", "999999999Pi", "0x10Gi",
	} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// FuzzParseSize: what is accepted is what Kubernetes understands, to the byte and never below zero.
func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"20Gi", "4.5G", "8000Pi", "8001Pi", "0Mi", "1k", "99999999999999999P", "1.000000001Ki"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseSize(text)
		if err != nil {
			return
		}
		want, err := resource.ParseQuantity(text)
		if err != nil {
			t.Fatalf("%q is accepted, and Kubernetes says %v", text, err)
		}
		if got < 0 || got != want.Value() {
			t.Fatalf("%q: got %d, Kubernetes %d", text, got, want.Value())
		}
	})
}

func TestParseCores_TakesThousandths(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"2": 2000, "1.5": 1500, "500m": 500, "0.001": 1, "1000m": 1000} {
		got, err := parseCores(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0m", "0.5m", "-1", "+1", "two", "1e3", "1.", ".5", "2 ", "2\n", "1k", "0.0001"} {
		if got, err := parseCores(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// FuzzParseCores: what is accepted is what Kubernetes understands, to the thousandth.
func FuzzParseCores(f *testing.F) {
	for _, seed := range []string{"2", "1.5", "500m", "999999999.999", "0.5m", "0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseCores(text)
		if err != nil {
			return
		}
		want, err := resource.ParseQuantity(text)
		if err != nil || got <= 0 || got != want.MilliValue() {
			t.Fatalf("%q: got %d, Kubernetes %d, %v", text, got, want.MilliValue(), err)
		}
	})
}
