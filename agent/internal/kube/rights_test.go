package kube

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of rights")

// rightsFile is what the stack's roles are compared with (iris/guard_test.go): the two modules cannot import each other.
const rightsFile = "../../rights.txt"

func TestRights_AreWrittenDown(t *testing.T) {
	var lines []string
	for _, one := range Rights(Target{Namespace: "NAMESPACE", Claim: "CLAIM", LonghornNamespace: "LONGHORN"}, "LEASE") {
		lines = append(lines, fmt.Sprintf("%s %s.%s in %q named %q", one.Verb, one.Resource, one.Group, one.Namespace, one.Name))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(rightsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(rightsFile)
	if err != nil || string(written) != text {
		t.Errorf("agent/rights.txt is not what the guard uses (%v): run this test with -update, and change iris/guardrights.go", err)
	}
}
