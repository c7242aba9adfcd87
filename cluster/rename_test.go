package cluster

import (
	"strings"
	"testing"
)

func TestNameChange_IsRefusedWithTheWayOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after string
		unprotected   bool
		refused       bool
	}{
		"the same":                           {before: "ha-iris-dev", after: "ha-iris-dev"},
		"renamed":                            {before: "ha-iris-dev", after: "ha-iris-prod", refused: true},
		"renamed, the data given up":         {before: "ha-iris-dev", after: "ha-iris-prod", unprotected: true},
		"recorded before this check existed": {after: "ha-iris-dev"},
	} {
		err := checkNameChange(test.before, test.after, !test.unprotected)
		if (err != nil) != test.refused {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "pulumi config set --path cluster.name ha-iris-dev") {
			t.Errorf("%s: the way out is missing: %v", name, err)
		}
	}
}
