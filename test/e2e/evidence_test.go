//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"ha-iris/test/e2e/evidence"
)

// sandboxEvidence is the name under which a test keeps what its cluster shows.
const sandboxEvidence = "sandbox"

// keep registers the cluster's logs and a list of its objects as evidence.
func (s sandbox) keep(t *testing.T) {
	t.Helper()
	kept.Of(t).Add(sandboxEvidence, func(dir string) error {
		objects, err := s.tryKubectl(t, "get", "nodes,pods,deployments,daemonsets,jobs,services,pvc,pv,volumeattachments,events", "-A", "-o", "wide")
		return errors.Join(err,
			evidence.Write(dir, "objects.txt", []byte(objects)),
			evidence.Copy(dir, filepath.Join(repository, ".local", "sandbox", s.Name, "logs", "*.log")))
	})
}

// keep writes the stack's state, its settings and what its last operations printed. Secrets stay encrypted: the Automation
// API's export would decrypt them.
func (s *stack) keep(dir string) error {
	state, err := s.runCLIFor(context.WithoutCancel(s.t.Context()), (*exec.Cmd).Output, "stack", "export")
	err = errors.Join(err, evidence.Write(dir, "state.json", []byte(state)), evidence.Copy(dir, filepath.Join(s.dir, "Pulumi.*yaml")))
	for name, printed := range s.printed {
		err = errors.Join(err, evidence.Write(dir, name, []byte(printed)))
	}
	return err
}

// keep writes what the commands printed, the state and the logs of the checkout's cluster.
func (w *walk) keep(dir string) error {
	_, err := w.try(`make pulumi ARGS="stack export --stack dev --file ` + filepath.Join(dir, "state.json") + `"`)
	return errors.Join(err,
		evidence.Write(dir, "commands.log", []byte(w.printed.String())),
		evidence.Copy(dir, filepath.Join(w.dir, ".local", "sandbox", "dev", "logs", "*.log")))
}
