package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRuntimeOptions_AreTheProjectsAsFlags(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		project string
		want    []string
	}{
		"none":        {"name: a\nruntime: go\n", nil},
		"empty":       {"name: a\nruntime: {name: go}\n", nil},
		"buildTarget": {"name: a\nruntime:\n  name: go\n  options: {buildTarget: bin/a}\n", []string{"-buildTarget=bin/a"}},
		"binary":      {"name: a\nruntime:\n  name: go\n  options: {binary: ./a}\n", []string{"-binary=./a"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			below := filepath.Join(root, "a", "b")
			if err := os.MkdirAll(below, 0o755); err != nil {
				t.Fatalf("make directory: %v", err)
			}
			if err := os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte(test.project), 0o600); err != nil {
				t.Fatalf("write project: %v", err)
			}
			got, err := runtimeOptions(below)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestRuntimeOptions_RefuseABrokenProject(t *testing.T) {
	t.Parallel()
	for _, project := range []string{"runtime: [", "runtime: {options: [a]}"} {
		if _, err := parseOptions([]byte(project)); err == nil {
			t.Errorf("%q was accepted", project)
		}
	}
}
