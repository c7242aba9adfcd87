package survey

import (
	"math"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestQuantitiesAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "1", "8", "3920m", "0.5", "1.5Gi", "32Gi", "16393276Ki", "100M", "1k", "2T", "1e3", "1E3", "12e6", "1E", "3Ei", "250u", "7n", "4Pi",
		"-1", "+5", "", "1.5.2", "x", "1 Gi", "1GiB", "NaN", "Inf", "0x10",
	} {
		got, ok := parseQuantity(text)
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

// Whoever sets what is shown must not find that it is too much.
func TestAmountsAreShownRoundedDown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		resource string
		value    float64
		want     string
	}{
		{memory, 15.99 * (1 << 30), "15.9Gi"},
		{"requests.memory", 1 << 30, "1Gi"},
		{ephemeral, 200 << 20, "200Mi"},
		{"requests.storage", 1 << 10, "1Ki"},
		{"requests.storage", 0, "0"},
		{cpu, 3.92, "3.92"},
		{"limits.cpu", 4, "4"},
		{"pods", 3, "3"},
		{"fast.storageclass.storage.k8s.io/persistentvolumeclaims", 2, "2"},
		{"fast.storageclass.storage.k8s.io/requests.storage", 3 << 30, "3Gi"},
	} {
		if got := show(test.resource, test.value); got != test.want {
			t.Errorf("%s %v: got %s, want %s", test.resource, test.value, got, test.want)
		}
	}
}
