package drill

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ha-iris/internal/clock"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/ledger"
)

// readInside reads what the pod's own writer has noted, and keeps the longest that was ever read.
func (a *attempt) readInside(ctx context.Context) {
	if a.inside == nil {
		return
	}
	for _, text := range a.notes(ctx) {
		if writes := a.inside.Parse(text); len(writes) > len(a.acknowledged) {
			a.acknowledged = writes
		}
	}
}

// notes are what can be had of the file: from the nodes' disks where they are this machine's, from a command, or through the API
// server, which reaches only a pod that still exists and a node that is not cut off.
func (a *attempt) notes(ctx context.Context) []string {
	var found []string
	if a.Config.Disks != "" {
		for _, path := range disks(a.Config.Disks, a.inside.File()) {
			if content, err := os.ReadFile(path); err == nil {
				found = append(found, string(content))
			}
		}
		return found
	}
	if a.Config.ReadCommand != "" {
		command := strings.NewReplacer(fault.Placeholder, a.victim.Node, "{file}", a.inside.File()).Replace(a.Config.ReadCommand)
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if content, err := exec.CommandContext(limited, "/bin/sh", "-c", command).Output(); err == nil { //nolint:gosec // That is what it is for.
			found = append(found, string(content))
		}
		return found
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	in := kube.Container{Namespace: a.victim.Namespace, Pod: a.victim.Pod, Name: a.victim.Container}
	if content, err := a.Cluster.Shell(limited, in, a.inside.ReadCommand(), ""); err == nil {
		found = append(found, content)
	}
	return found
}

// disks finds a file in /tmp of a container of a sandbox's node: the writable layers of containerd are on the node's own disk.
func disks(nodes, file string) []string {
	found, err := filepath.Glob(filepath.Join(nodes, "*", "disk", "var", "lib", "containerd", "*snapshotter*", "snapshots", "*", "fs", "tmp", file))
	if err != nil {
		return nil
	}
	return found
}

// lingers is how long the old pod may go on after its node is back: its grace period, 45 s by default, and a bit.
const lingers = 60 * time.Second

// followInside reads on until the old pod is gone: what it acknowledges after the return counts most, because another one may be
// at work.
func (a *attempt) followInside(ctx context.Context) {
	began := time.Now()
	for time.Since(began) < lingers && ctx.Err() == nil {
		before := len(a.acknowledged)
		a.readInside(ctx)
		idle := len(a.acknowledged) == before
		if idle && time.Since(began) > 5*time.Second && time.Since(lastOf(a.acknowledged)) > 5*time.Second {
			break
		}
		if pod := a.seen.serving(); pod != nil && pod.GetUID() == a.victim.UID && time.Since(began) > 5*time.Second {
			break // It was not given up, and writes on.
		}
		if clock.Pause(ctx, 300*time.Millisecond) != nil {
			return
		}
	}
	if len(a.acknowledged) == 0 {
		a.run.Notes = append(a.run.Notes,
			"what the old pod acknowledged on its own could not be read: rows that only it has acknowledged are not counted (--read-acks-cmd)")
	}
}

func lastOf(writes []ledger.Write) time.Time {
	if len(writes) == 0 {
		return time.Time{}
	}
	return writes[len(writes)-1].Done
}

// shell runs scripts in the database's container: of a pod, or of the one that runs now.
func (a *attempt) shell(pod string) *podShell { return &podShell{a, pod} }

type podShell struct {
	of  *attempt
	pod string
}

// Attach implements writer.Shell.
func (s *podShell) Attach(ctx context.Context, script string, stdin io.Reader, stdout io.Writer) error {
	pod := s.pod
	if pod == "" {
		pod = s.of.seen.running()
	}
	if pod == "" {
		return errNoPod
	}
	in := kube.Container{Namespace: s.of.victim.Namespace, Pod: pod, Name: s.of.victim.Container}
	return s.of.Cluster.Exec(ctx, in, []string{"/bin/sh", "-c", script}, stdin, stdout, io.Discard)
}
