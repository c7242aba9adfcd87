package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Its checkout has no source, so that nothing can be built in it.
func TestSettle_ForgetsSnapshotsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if _, err := c.settle(t.Context(), UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.settle(t.Context(), UpOptions{Snapshots: true}); err == nil || !strings.Contains(err.Error(), "compile ./cmd/snapshots") {
		t.Errorf("got %v", err)
	}
	if kept, err := c.loadState(); err != nil || kept.Snapshots || kept.Ports == (ports{}) {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if s, err := c.settle(t.Context(), UpOptions{}); err != nil || s.Snapshots {
		t.Errorf("without them: got %+v, %v", s, err)
	}
}

func TestSettle_GoesOnWithTheSnapshotControllerThatIsThere(t *testing.T) {
	t.Parallel()
	for _, there := range [][]string{{"program"}, {"kinds"}, {"program", "kinds"}} {
		c, said := newCluster(t, "dev")
		places := map[string]string{"program": c.layout.Tool(snapshots), "kinds": c.path("kinds", "one.yaml")}
		for _, one := range there {
			if err := os.MkdirAll(filepath.Dir(places[one]), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(places[one], []byte("old"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s, err := c.settle(t.Context(), UpOptions{Snapshots: true})
		if len(there) < len(places) {
			if err == nil {
				t.Errorf("with %v only: got %+v", there, s)
			}
			continue
		}
		if err != nil || !s.Snapshots || !strings.Contains(said.String(), "going on with the snapshot-controller that is there: compile ./cmd/snapshots") {
			t.Errorf("got %+v, %v, said %q", s, err, said)
		}
		if kept, err := c.loadState(); err != nil || !kept.Snapshots {
			t.Errorf("kept %+v, %v", kept, err)
		}
		if content, err := os.ReadFile(places["program"]); err != nil || string(content) != "old" {
			t.Errorf("the program is %q, %v", content, err)
		}
	}
}
