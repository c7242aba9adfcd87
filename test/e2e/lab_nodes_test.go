//go:build e2e && lab

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flush is how long IRIS may take to bring its journal to the disk without synchronous commits (iris.md 2.3: 2 s), and as much for a
// loaded machine.
const flush = 4.0

// TestLab_LosesNodes wants every row back that was acknowledged before a node was lost: all of them with synchronous commits, all
// but those of the last seconds without.
func TestLab_LosesNodes(t *testing.T) {
	l := startLab(t, "nodes")
	claim := l.claim()
	l.writes(1)
	l.step("a killed node", func() { l.losesNode("kill", flush) })
	l.cfg = l.cfg.set("iris.synchronousCommit", true)
	l.configure(l.cfg)
	l.up()
	l.step("a killed node, with synchronous commits", func() { l.losesNode("kill", 0) })
	l.step("a node without kubelet, with synchronous commits", func() { l.losesNode("kubelet-stop", 0) })
	if l.claim() != claim {
		t.Error("the claim is another one: the data is lost")
	}
	l.destroyEverything(l.cfg)
}

// losesNode takes the database's node away while it writes, and gives it back.
func (l *lab) losesNode(fault string, mayLose float64) {
	l.t.Helper()
	node := l.node()
	w := l.acknowledging()
	l.survives(fault, func() { l.on.fault(l.t, fault, node) })
	if now := l.node(); now == node {
		l.t.Errorf("%s: the database is on %s, which is lost", fault, node)
	}
	acks := w.acks()
	lost := l.missing(acks)
	l.t.Logf("%s: %d of %d acknowledged rows are missing", fault, len(lost), len(acks))
	for _, a := range lost {
		if age := acks[len(acks)-1].at - a.at; age > mayLose {
			l.t.Errorf("%s: row %d is missing, acknowledged %.2f s before the last one", fault, a.row, age)
			break
		}
	}
	l.on.fault(l.t, "start", node)
	l.heals()
}

// writer writes rows beside the database in its container, so that no network is between them.
type writer struct {
	lab  *lab
	file string
}

// ack is a row that was acknowledged, and when, in seconds since this machine's start.
type ack struct {
	row int
	at  float64
}

// acknowledging starts a writer, which notes what was acknowledged on the node's own disk, and waits for its first rows.
func (l *lab) acknowledging() *writer {
	l.t.Helper()
	began := time.Now().UnixMilli() % 1_000_000_000
	w := &writer{l, fmt.Sprintf("acks-%d", began)}
	script := fmt.Sprintf(`(n=%d; while :; do n=$((n+1)); `+
		`wget -q -O /dev/null --post-data "row=$n" "http://127.0.0.1:52773/iris-standin/node?transaction=1&ref=%%5Erows($n)" && `+
		`echo "$n $(cut -d' ' -f1 /proc/uptime)" >> /tmp/%s; done) < /dev/null > /dev/null 2>&1 &`, began, w.file)
	if output, err := l.exec(script); err != nil {
		l.t.Fatalf("start the writer: %v\n%s", err, output)
	}
	eventually(l.t, podWait, func() error {
		if found := len(w.acks()); found < 20 {
			return fmt.Errorf("%d rows were acknowledged", found)
		}
		return nil
	})
	return w
}

// acks reads what was acknowledged from the nodes' disks: a dead node answers nobody, and one that is cut off no better.
func (w *writer) acks() []ack {
	w.lab.t.Helper()
	var found []ack
	nodes := filepath.Join(repository, ".local", "sandbox", w.lab.on.Name, "nodes")
	snapshots, err := filepath.Glob(filepath.Join(nodes, "*", "disk", "var", "lib", "containerd", "*snapshotter*", "snapshots", "*", "fs", "tmp", w.file))
	if err != nil {
		w.lab.t.Fatal(err)
	}
	for _, path := range snapshots {
		content, err := os.ReadFile(path)
		if err != nil {
			w.lab.t.Fatalf("read what was acknowledged: %v", err)
		}
		for line := range strings.Lines(string(content)) {
			var a ack
			if _, err := fmt.Sscan(line, &a.row, &a.at); err == nil { // The last one may be cut.
				found = append(found, a)
			}
		}
	}
	return found
}

// missing are the acknowledged rows that are not there.
func (l *lab) missing(acks []ack) []ack {
	l.t.Helper()
	var missing []ack
	for _, a := range acks {
		there := false
		eventually(l.t, podWait, func() (err error) {
			there, err = l.has(a.row)
			return err
		})
		if !there {
			missing = append(missing, a)
		}
	}
	return missing
}
