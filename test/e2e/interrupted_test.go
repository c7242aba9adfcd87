//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted_RunsAreGoneOnFrom kills the engine and its plugins while Helm waits, as a machine does that goes down.
func TestInterrupted_RunsAreGoneOnFrom(t *testing.T) {
	onShared(t)
	// Another number and not none: what an install takes over it changes, but it removes nothing that is no longer asked for.
	c := baseConfig(shared).set("storage.values.sandbox.startSeconds", 1)
	slow := c.set("storage.values.sandbox.startSeconds", 600)
	s := newStack(t, "interrupted")
	t.Cleanup(func() { checkEmpty(t, shared) })

	s.configure(slow)
	s.kill(helmRecord(t, "pending-install"), "up", "--yes")
	s.configure(c)
	if output, err := s.cli("preview"); err != nil || !strings.Contains(output, "The update will delete the record") {
		t.Errorf("preview after a killed install: %v", err)
	}
	s.recovers("v1 deployed")
	podName(t, shared)

	claim := claimUID(t)
	s.configure(slow)
	s.kill(helmRecord(t, "pending-upgrade"), "up", "--yes")
	c = c.set("storage.values.longhornUI.replicas", 1)
	s.configure(c)
	s.recovers("v1 superseded", "v2 deployed")
	if claimUID(t) != claim {
		t.Error("the claim is another one: the data is lost")
	}

	c = c.set("iris.protectData", false).set("storage.values.sandbox.uninstallSeconds", 30)
	s.configure(c)
	volume := jsonpath(t, "pvc", "iris-pvc", "{.spec.volumeName}")
	output, err := s.cli("up", "--yes")
	previewed, updated, _ := strings.Cut(output, "\nUpdating (")
	if want := "There are 1: " + volume + " (iris/iris-pvc"; err != nil || !strings.Contains(previewed, want) || !strings.Contains(updated, want) {
		t.Errorf("want %q in the preview and in the update of an up that lifts the protection: %v", want, err)
	}
	s.kill(func() (bool, error) {
		active, err := shared.tryKubectl(t, "-n", "longhorn-system", "get", "job", "longhorn-uninstall", "-o", "jsonpath={.status.active}")
		return err == nil && active == "1", nil
	}, "destroy", "--yes")
	for _, operation := range [][]string{{"preview"}, {"up", "--yes"}} {
		if _, err := s.cli(operation...); err == nil || !strings.Contains(err.Error(), "longhorn is half removed") {
			t.Errorf("%s goes on with a Longhorn that is being removed: %v", operation[0], err)
		}
	}
	if err := s.tryDestroy(); err != nil {
		t.Errorf("destroy after a killed destroy: %v", err)
	}
	if left := shared.kubectl(t, "get", "pv", "-o", "name"); left != "" {
		t.Errorf("PersistentVolumes are left, which Longhorn deletes: %s", left)
	}
}

// helmRecord waits for a record of the release.
func helmRecord(t *testing.T, status string) func() (bool, error) {
	return func() (bool, error) {
		found, err := shared.records(t)
		return strings.Contains(found, status), err
	}
}

// records are the release's, such as "v1 deployed", in their order.
func (s sandbox) records(t *testing.T) (string, error) {
	t.Helper()
	output, err := s.tryKubectl(t, "-n", "longhorn-system", "get", "secret", "-l", "owner=helm,name=longhorn",
		"-o", `jsonpath={range .items[*]}v{.metadata.labels.version} {.metadata.labels.status}{"\n"}{end}`)
	return strings.TrimSpace(output), err
}

// recovers wants an up to succeed, to say how, and to leave the given records.
func (s *stack) recovers(records ...string) {
	s.t.Helper()
	output, err := s.cli("up", "--yes")
	_, diagnostics, _ := strings.Cut(output, "\nUpdating (")
	_, diagnostics, _ = strings.Cut(diagnostics, "\nDiagnostics:")
	if err != nil || strings.Count(diagnostics, "Recovered: ") != 1 {
		s.t.Fatalf("want an up that recovers and says so once: %v", err)
	}
	if found, err := shared.records(s.t); err != nil || found != strings.Join(records, "\n") {
		s.t.Errorf("Helm's records are %q, %v; want %q", found, err, records)
	}
	if _, again := s.up(); !again.onlySame() {
		s.t.Errorf("a second up changed something: %v", again)
	}
}

// kill runs the Pulumi CLI until something holds, kills it with everything that it has started, and unlocks the stack.
func (s *stack) kill(until func() (bool, error), args ...string) {
	s.t.Helper()
	command := s.command(s.t.Context(), args...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		s.t.Fatalf("start pulumi: %v", err)
	}
	eventually(s.t, operationTimeout, func() error {
		if holds, err := until(); err != nil || !holds {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // Helm has made the chart's objects by then, and waits for them.
	for _, pid := range append(descendants(s.t, command.Process.Pid), command.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.t.Errorf("kill %d: %v", pid, err)
		}
	}
	if err := command.Wait(); err == nil {
		s.t.Fatalf("pulumi %s came to its end:\n%s", strings.Join(args, " "), output.String())
	}
	s.check("killed "+args[0], output.String(), time.Now())
	if output, err := s.cli("cancel", "--yes"); err != nil {
		s.t.Fatalf("cancel: %v\n%s", err, output)
	}
}

var parentPID = regexp.MustCompile(`(?m)^PPid:\s*(\d+)$`)

// descendants are the processes that a process has started, and those that they have. Plugins are in groups of their own.
func descendants(t *testing.T, root int) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	children := map[int][]int{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		parent := parentPID.FindSubmatch(content)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if parent == nil || err != nil {
			continue
		}
		if number, err := strconv.Atoi(string(parent[1])); err == nil {
			children[number] = append(children[number], pid)
		}
	}
	var found []int
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		found, queue = append(found, children[queue[0]]...), append(queue, children[queue[0]]...)
	}
	return found
}

// TestDriver_ThatDoesNotComeStopsTheUpdate: Helm is content with a driver deployer that ends again and again.
func TestDriver_ThatDoesNotComeStopsTheUpdate(t *testing.T) {
	onShared(t)
	c := baseConfig(shared)
	const message = "failed to get the kubelet's root directory"
	s := newStack(t, "driver")
	t.Cleanup(func() { checkEmpty(t, shared) })
	s.configure(c.set("storage.values.sandbox.driverCrash", message))
	_, err := s.cli("up", "--yes")
	if err == nil {
		t.Fatal("storage without a driver counts as ready")
	}
	for _, word := range []string{
		"no CSIDriver driver.longhorn.io", "longhorn-driver-deployer", "CrashLoopBackOff", message, "storage.values.csi.kubeletRootDir",
	} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message lacks %q", word)
		}
	}
	if output, err := shared.tryKubectl(t, "get", "storageclass/longhorn-iris"); err == nil {
		t.Errorf("there is a class whose claims stay Pending:\n%s", output)
	}
	s.configure(c)
	s.up()
	podName(t, shared)
	s.destroyEverything(c)
}
