package check

import (
	"strings"
	"testing"
)

func TestIsPinned(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for image, want := range map[string]bool{
		"iris" + digest: true,
		"registry.example.com:5000/iris" + digest:  true,
		"iris:2026.1" + digest:                     true,
		"iris:2026.1.0.233.0":                      true,
		"busybox:1.37.0":                           true,
		"busybox:v1.37.0-musl":                     true,
		"registry.example.com:5000/busybox:1.37.0": true,
		"iris":                                  false,
		"registry.example.com:5000/iris":        false,
		"iris:latest":                           false,
		"iris:latest-em":                        false,
		"iris:2026.1":                           false,
		"busybox:1":                             false,
		"busybox:stable":                        false,
		"iris@sha256:0a0a":                      false,
		"iris:2026.1@sha256:short":              false,
		"":                                      false,
		"registry.example.com:5000/1.2.3/image": false,
	} {
		if got := isPinned(image); got != want {
			t.Errorf("%q: pinned is %v, want %v", image, got, want)
		}
	}
}

func TestIsEverybody(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "0.0.0.0/1": true, "128.0.0.0/1": true, "2000::/3": true, " 0.0.0.0/0": true,
		"10.0.0.0/8": false, "203.0.113.7/32": false, "2001:db8::/32": false, shownSecret: false, unknownString: false, "office": false,
	} {
		if got := isEverybody(text); got != want {
			t.Errorf("%q: everybody is %v, want %v", text, got, want)
		}
	}
}

func TestIsLonghorn(t *testing.T) {
	t.Parallel()
	for chart, want := range map[string]bool{
		"longhorn": true, "./sandbox/charts/longhorn": true, "charts/longhorn/": true, "longhorn-1.12.1.tgz": true,
		"oci://registry.example.com/charts/longhorn": true,
		"longhorn-crd": false, "my-longhorn": false, "": false, "longhorn/exporter": false,
	} {
		r := &resource{Type: "kubernetes:helm.sh/v3:Release", Inputs: map[string]any{"chart": chart}}
		if got := r.isLonghorn(); got != want {
			t.Errorf("%q: Longhorn is %v, want %v", chart, got, want)
		}
	}
}
