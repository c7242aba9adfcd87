package rules_test

import (
	"math"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"ha-iris/internal/rules"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"20Gi": 20 << 30, "0.5Gi": 1 << 29, "1536Mi": 1536 << 20, "10G": 10_000_000_000, "1Ti": 1 << 40,
	} {
		got, err := rules.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "20", "20GB", "20gi", "Gi", "-20Gi", "+20Gi", " 20Gi", "20 Gi", "2e3Gi", "1.Gi", ".5Gi", "20Gi\n", "999999999Pi", "0x10Gi",
	} {
		if got, err := rules.ParseSize(text); err == nil {
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
		got, err := rules.ParseSize(text)
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

func TestFormatSize_IsReadBackAsTheSameSize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		20 << 30: "20Gi", 1 << 40: "1Ti", 20482 << 20: "20482Mi", 20_000_000_000: "19531250Ki", 3 << 60: "3072Pi", 1: "1Ki", 0: "0Ki",
	} {
		got := rules.FormatSize(bytes)
		if got != want {
			t.Errorf("%d is %s, want %s", bytes, got, want)
		}
		if size, err := rules.ParseSize(got); err != nil || bytes%1024 == 0 && size != bytes {
			t.Errorf("%s is %d, %v", got, size, err)
		}
	}
}

func TestParseCores(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"2": 2000, "1.5": 1500, "500m": 500, "0.001": 1, "1000m": 1000} {
		got, err := rules.ParseCores(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0m", "0.5m", "-1", "+1", "two", "1e3", "1.", ".5", "2 ", "2\n", "1k", "0.0001"} {
		if got, err := rules.ParseCores(text); err == nil {
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
		got, err := rules.ParseCores(text)
		if err != nil {
			return
		}
		want, err := resource.ParseQuantity(text)
		if err != nil || got <= 0 || got != want.MilliValue() {
			t.Fatalf("%q: got %d, Kubernetes %d, %v", text, got, want.MilliValue(), err)
		}
	})
}

func TestParseQuantity_ReadsWhatKubernetesDoes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "1", "8", "3920m", "0.5", "1.5Gi", "32Gi", "16393276Ki", "100M", "1k", "2T", "1e3", "1E3", "12e6", "1E", "3Ei", "250u", "7n", "4Pi",
		"-1", "+5", "", "1.5.2", "x", "1 Gi", "1GiB", "NaN", "Inf", "0x10", "1e3Ki", "1.", ".5", "5.Gi", "1e-3",
	} {
		got, ok := rules.ParseQuantity(text)
		want, err := resource.ParseQuantity(text)
		if ok != (err == nil) {
			t.Errorf("%q: read %v, Kubernetes says %v", text, ok, err)
			continue
		}
		if ok && math.Abs(got-want.AsApproximateFloat64()) > math.Abs(got)*1e-9 {
			t.Errorf("%q: got %v, want %v", text, got, want.AsApproximateFloat64())
		}
	}
}
