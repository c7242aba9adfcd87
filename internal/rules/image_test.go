package rules_test

import (
	"strings"
	"testing"

	"ha-iris/internal/rules"
)

func TestImage_IsPinned(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for reference, want := range map[string]bool{
		"iris:2026.1.0.123.0": true, "registry.example.com:5000/team/iris:1.2.3-alpine": true, "iris" + digest: true, "iris:latest" + digest: true,
		"app:3f2a1b9": true, "app:build-123": true, "app:20261127": true, "app:v1.2.3": true, "registry:5000/app:1.2.3": true,
		"iris": false, "registry:5000/app": false, "iris:latest": false, "iris:latest-em": false, "iris:latest-2026.1.0": false,
		"app:1": false, "app:v2": false, "app:1.37": false, "app:1.37-alpine": false, "iris:2026.1": false, "app:stable": false, "app:main": false,
	} {
		image, ok := rules.ParseImage(reference)
		if !ok || image.IsPinned() != want {
			t.Errorf("%s: parsed %t, pinned %t, want %t", reference, ok, image.IsPinned(), want)
		}
	}
}

func TestParseImage(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for reference, want := range map[string]rules.Image{
		"a":                                    {Name: "a"},
		"registry:5000/a/b":                    {Name: "registry:5000/a/b"},
		"registry.example.com/a/b:1@" + digest: {Name: "registry.example.com/a/b", Tag: "1", Digest: digest},
	} {
		if got, ok := rules.ParseImage(reference); !ok || got != want {
			t.Errorf("%s: got %+v, %t", reference, got, ok)
		}
	}
	for _, reference := range []string{"", "A", "a:", "a@sha256:1", "a b", "a:b\n", "https://a/b:1", "a@md5:00"} {
		if got, ok := rules.ParseImage(reference); ok {
			t.Errorf("%q: got %+v", reference, got)
		}
	}
}

func TestCheckNetwork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text     string
		onlyIPv4 bool
		want     string
	}{
		{"203.0.113.0/24", true, ""},
		{"203.0.113.0/24", false, ""},
		{"2001:db8::/32", false, ""},
		{"2001:db8::/32", true, "an IPv4 network in CIDR notation, such as 203.0.113.0/24"},
		{"203.0.113.7", false, "a network in CIDR notation, such as 203.0.113.0/24"},
		{"203.0.113.7/24", true, "the network's own address: 203.0.113.0/24"},
		{"2001:db8::1/32", false, "the network's own address: 2001:db8::/32"},
		{"", true, "an IPv4 network in CIDR notation, such as 203.0.113.0/24"},
	} {
		if got := rules.CheckNetwork(test.text, test.onlyIPv4); got != test.want {
			t.Errorf("%s, %t: got %q, want %q", test.text, test.onlyIPv4, got, test.want)
		}
	}
}
