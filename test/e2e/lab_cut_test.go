//go:build e2e && lab && linux

package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"ha-iris/internal/blocks"
)

// TestLab_CutOff records what a node that is cut off does to the data today, with the settings that are meant to lose least. With the
// real Longhorn it was the same (longhorn-real.md, "A node that is cut off, not dead").
func TestLab_CutOff(t *testing.T) {
	l := startLab(t, "cut")
	l.cfg = l.cfg.set("iris.synchronousCommit", true)
	l.configure(l.cfg)
	l.up()
	l.writes(1)
	l.isCutOff()
	l.isBackEarly()
}

// isCutOff shows that the isolated database goes on: its engine stalls, drops the replicas that it cannot reach, and acknowledges
// on the one beside it, while another one takes over.
func (l *lab) isCutOff() {
	l.t.Helper()
	node := l.node()
	w := l.acknowledging()
	l.survives("a cut", func() { l.on.fault(l.t, "cut", node) })
	acks := w.acks()
	lost := l.missing(acks)
	l.t.Logf("a cut: %d of %d acknowledged rows are missing; writes stalled for %.1f s", len(lost), len(acks), longestPause(acks))
	if len(lost) == 0 {
		l.t.Error("a cut: no acknowledged row is missing; if the database stops itself now, this test is to say so")
	}
	if stall := longestPause(acks); stall < 8 || stall > 12 {
		l.t.Errorf("a cut: writes stalled for %.1f s, want the engine's 8 to 10", stall)
	}
	l.on.fault(l.t, "join", node)
	l.heals()
	if differ := differing(l.t, l.on.replicas(l.t)); differ > 0 {
		l.t.Errorf("a cut: %d blocks of the replicas differ after the rebuild", differ)
	}
}

// isBackEarly shows that a node that is back before the volume is attached again brings its replica along, which is as good as the
// others for all that Longhorn knows.
func (l *lab) isBackEarly() {
	l.t.Helper()
	node := l.node()
	l.acknowledging()
	nodes := l.on.nodes()
	for _, other := range nodes { // So that the volume is attached when the test says so.
		l.on.kubectl(l.t, "cordon", filepath.Base(other))
	}
	l.on.fault(l.t, "cut", node)
	eventually(l.t, recovery, func() error { return l.volumeIs("detached", "") })
	l.on.fault(l.t, "join", node)
	l.on.kubectl(l.t, "wait", "node", node, "--for=condition=Ready", "--timeout=120s")
	eventually(l.t, recovery, func() error {
		if pods := l.on.kubectl(l.t, "-n", "iris", "get", "pods", "-l", "app=iris", "--field-selector=spec.nodeName="+node, "-o", "name"); pods != "" {
			return fmt.Errorf("the old pod is still there: %s", pods)
		}
		return nil
	})
	for _, other := range nodes {
		if filepath.Base(other) != node {
			l.on.kubectl(l.t, "uncordon", filepath.Base(other))
		}
	}
	eventually(l.t, recovery, func() error { return l.volumeIs("attached", "healthy") })
	time.Sleep(5 * time.Second) // A rebuild would begin now.
	differ := differing(l.t, l.on.replicas(l.t))
	l.t.Logf("back early: the volume is called healthy, and its replicas differ in %d blocks", differ)
	if err := l.volumeIs("attached", "healthy"); err != nil || differ == 0 {
		l.t.Errorf("back early: %v, %d blocks differ; if the copy is not trusted any more, this test is to say so", err, differ)
	}
	l.on.kubectl(l.t, "uncordon", node)
}

// volumeIs compares the volume with what is wanted of it; an empty word is any.
func (l *lab) volumeIs(state, robustness string) error {
	got, err := l.on.tryKubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o",
		"jsonpath={.items[0].status.state} {.items[0].status.robustness}")
	var is, how string
	if err == nil {
		_, err = fmt.Sscan(got, &is, &how)
	}
	if err == nil && (is != state || robustness != "" && how != robustness) {
		err = fmt.Errorf("the volume is %s", got)
	}
	return err
}

// longestPause is the longest time between two acknowledgements, in seconds.
func longestPause(acks []ack) float64 {
	longest := 0.0
	for i := 1; i < len(acks); i++ {
		longest = max(longest, acks[i].at-acks[i-1].at)
	}
	return longest
}

// replicas are the files that hold a volume's data, of all nodes.
func (s sandbox) replicas(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, ".local", "sandbox", s.Name, "nodes", "*", "disk", "var", "lib", "longhorn", "replicas",
		"*", "volume.img"))
	if err != nil || len(found) < 3 {
		t.Fatalf("the replicas' files are %v, %v", found, err)
	}
	return found
}

// nodes are the directories of the real nodes.
func (s sandbox) nodes() []string {
	found, err := filepath.Glob(filepath.Join(repository, ".local", "sandbox", s.Name, "nodes", "*"))
	if err != nil {
		return nil
	}
	return found
}

// differing counts the blocks that are not the same in all files.
func differing(t *testing.T, files []string) int {
	t.Helper()
	differ, err := blocks.Differing(files)
	if err != nil {
		t.Fatal(err)
	}
	return differ
}
