package survey

import (
	"testing"
)

// Whoever sets what is shown must not find that it is too much.
func TestAmounts_AreShownRoundedDown(t *testing.T) {
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
