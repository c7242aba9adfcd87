package testkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// CheckNamesNoCloud fails when a Go file of the directory, tests excepted, names a cloud or its Kubernetes service. What
// differs between clouds reaches such a package as traits.
func CheckNamesNoCloud(t *testing.T, dir string) {
	t.Helper()
	clouds := regexp.MustCompile(`(?i)\b(aks|eks|gke|azure|aws|gcp)\b`)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s (%v)", dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if name := clouds.FindString(line); name != "" {
				t.Errorf("%s:%d names %s: %s", file, i+1, name, strings.TrimSpace(line))
			}
		}
	}
}
