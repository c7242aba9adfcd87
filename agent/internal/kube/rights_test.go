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

// The files are what the stack's roles are compared with (iris/guard_test.go, iris/backup_test.go, iris/verify_test.go): the two modules cannot import each other.
func TestRights_AreWrittenDown(t *testing.T) {
	writtenDown(t, "../../rights.txt", "iris/guardrights.go", Rights(Target{Namespace: "NAMESPACE", Claim: "CLAIM", LonghornNamespace: "LONGHORN"}, "LEASE"))
	writtenDown(t, "../../rights-backup.txt", "iris/backuprights.go", BackupRights(BackupTarget{
		Namespace: "NAMESPACE", Deployment: "DEPLOYMENT", Claim: "CLAIM", LonghornNamespace: "LONGHORN",
	}))
	writtenDown(t, "../../rights-verify.txt", "iris/verifyrights.go", VerifyRights(VerifyTarget{
		Database: BackupTarget{Namespace: "NAMESPACE", Deployment: "DEPLOYMENT", Claim: "CLAIM", LonghornNamespace: "LONGHORN"},
		Template: "TEMPLATE", Copy: "COPY", Class: "CLASS", Results: "RESULTS",
	}))
}

func writtenDown(t *testing.T, file, roles string, rights []Right) {
	t.Helper()
	var lines []string
	for _, one := range rights {
		lines = append(lines, fmt.Sprintf("%s %s.%s in %q named %q", one.Verb, one.Resource, one.Group, one.Namespace, one.Name))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil || string(written) != text {
		t.Errorf("%s is not what the agent uses (%v): run this test with -update, and change %s", file, err, roles)
	}
}
