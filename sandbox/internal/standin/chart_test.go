package standin

import (
	"os"
	"strings"
	"testing"
)

func TestChart_DefinesEveryKindThatIsPlayed(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../charts/longhorn/templates/crds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, plural := range append(backupKinds(), settings, longhornNodes, longhornVolumes, replicaKind, engineKind, instanceKind) {
		found := false
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			found = found || len(fields) > 3 && fields[0] == `"`+plural+`"` && strings.Contains(line, `"kind" "`+kindOf(plural)+`" `)
		}
		if !found {
			t.Errorf("the chart has no definition of %s of the kind %s", plural, kindOf(plural))
		}
	}
}
