package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/strict"
)

// What is particular to a cloud is in the files with its name as prefix. The others reach it through its value in the table.
func TestPackage_NamesCloudsInTheirOwnFilesOnly(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`(?i:\b(aks|eks|gke|azure|aws|gcp|google|amazon|microsoft)\b)|"existing"|\bExisting\b`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	shared := 0
	for _, file := range files {
		isOwn := slices.ContainsFunc(Clouds(), func(cloud Cloud) bool { return strings.HasPrefix(file, string(cloud)) })
		if isOwn || strings.HasSuffix(file, "_test.go") {
			continue
		}
		shared++
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if name := names.FindString(line); name != "" {
				t.Errorf("%s:%d names %s: %s", file, i+1, name, strings.TrimSpace(line))
			}
		}
	}
	if shared < 6 {
		t.Errorf("only %d files are everybody's; the check proves little", shared)
	}
}

// A remark on a key that the kind does not take would be shown to nobody.
func TestKinds_RemarkOnTheirOwnKeys(t *testing.T) {
	t.Parallel()
	everybodys := []string{}
	for _, field := range strict.Fields(reflect.TypeFor[Config]()) {
		if len(cloudsWith(field.Key)) == 0 {
			everybodys = append(everybodys, field.Key)
		}
	}
	for _, one := range clouds() {
		for key := range one.notes {
			if !slices.Contains(one.keys, key) && !slices.Contains(everybodys, key) {
				t.Errorf("%s: a remark on %s, which it does not take", one.cloud, key)
			}
		}
	}
}
