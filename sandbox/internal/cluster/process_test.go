package cluster

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ha-iris/sandbox/internal/lock"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(content)
}

// lookalike is a component whose process is a shell that waits, with the identity of the named one.
func lookalike(c *Cluster, name string) component {
	return component{
		name:    name,
		program: "/bin/sh",
		args:    []string{"-c", "while :; do sleep 1; done", "sh", c.identity(name)},
	}
}

func startLookalike(t *testing.T, c *Cluster, name string) {
	t.Helper()
	if _, err := c.start(lookalike(c, name)); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := c.stop(context.WithoutCancel(t.Context()), name); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func wantLiveness(t *testing.T, c *Cluster, name string, want liveness) process {
	t.Helper()
	found, err := c.process(name)
	if err != nil {
		t.Fatalf("find process: %v", err)
	}
	if found.live != want {
		t.Fatalf("%s is %s, want %s", name, found.live, want)
	}
	return found
}

func TestProcess_IsFoundWhileItRunsAndStoppedForGood(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	wantLiveness(t, c, etcd, stopped)
	startLookalike(t, c, etcd)
	found := wantLiveness(t, c, etcd, alive)
	want, err := lookalike(c, etcd).fingerprint()
	if err != nil || found.fingerprint != want {
		t.Errorf("got fingerprint %q, want %q, %v", found.fingerprint, want, err)
	}
	if err := c.stop(t.Context(), etcd); err != nil {
		t.Fatalf("stop: %v", err)
	}
	wantLiveness(t, c, etcd, stopped)
}

func TestProcess_OfAnotherClusterIsNotOurs(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	longer := &Cluster{Name: "dev-2", Dir: c.Dir + "-2", layout: c.layout, progress: c.progress}
	startLookalike(t, longer, etcd)
	wantLiveness(t, c, etcd, stopped)
	if err := c.stop(t.Context(), etcd); err != nil {
		t.Fatalf("stop: %v", err)
	}
	wantLiveness(t, longer, etcd, alive)
}

func TestProcess_AStaleRecordNamesNobodyAndKillsNobody(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	// As after a reboot: the number belongs to somebody else now, here to this test.
	if err := c.saveRecord(etcd, record{PID: os.Getpid()}); err != nil {
		t.Fatalf("save record: %v", err)
	}
	wantLiveness(t, c, etcd, gone)
	if err := c.stop(t.Context(), etcd); err != nil {
		t.Fatalf("stop: %v", err)
	}
	wantLiveness(t, c, etcd, stopped)
}

func TestProcess_WithoutARecordIsStillFoundAndStopped(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	startLookalike(t, c, etcd)
	// As if "sandbox up" had been killed between the start and the record.
	if err := c.forget(etcd); err != nil {
		t.Fatalf("forget: %v", err)
	}
	if found := wantLiveness(t, c, etcd, alive); found.fingerprint != "" {
		t.Errorf("got fingerprint %q of a process nobody recorded", found.fingerprint)
	}
	if err := c.stop(t.Context(), etcd); err != nil {
		t.Fatalf("stop: %v", err)
	}
	wantLiveness(t, c, etcd, stopped)
}

func TestProcess_ADamagedRecordIsStartedAgain(t *testing.T) {
	t.Parallel()
	c, said := newCluster(t, "dev")
	if err := writeFile(c.recordPath(etcd), []byte("{")); err != nil {
		t.Fatalf("damage: %v", err)
	}
	wantLiveness(t, c, etcd, gone)
	if !strings.Contains(said.String(), "damaged") {
		t.Errorf("said %q", said)
	}
}

func TestStart_ExplainsAnEarlyEndWithTheLog(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	failing := component{name: etcd, program: "/bin/sh", args: []string{"-c", "echo disk full; exit 7"}}
	ended, err := c.start(failing)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	err = c.explainExit(failing, <-ended)
	for _, want := range []string{"etcd ended while starting", "exit status 7", "disk full", c.LogPath(etcd), "--purge"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func TestStart_KnowsKwoksRaceFromAnyOtherEnd(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{"fatal error: concurrent map writes": true, "unknown flag": false} {
		c, _ := newCluster(t, "dev")
		failing := component{name: kwok, program: "/bin/sh", args: []string{"-c", "echo " + said + "; exit 2"}}
		ended, err := c.start(failing)
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		if err := c.explainExit(failing, <-ended); errors.Is(err, errKwokRace) != want {
			t.Errorf("%q: got %v", said, err)
		}
	}
}

// A caller's lock must not stay taken for as long as the cluster runs.
func TestStart_HandsNoDescriptorOfTheCallersOn(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatalf("pipe: %v", err)
	}
	inherited, err := syscall.Dup(int(writer.Fd())) // as from a caller: stays open across exec
	if err != nil {
		t.Fatalf("dup: %v", err)
	}
	c, _ := newCluster(t, "dev")
	startLookalike(t, c, etcd)
	if err := errors.Join(writer.Close(), syscall.Close(inherited)); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := reader.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatalf("deadline: %v", err)
	}
	// Ends only if no process holds the other end any more.
	if _, err := io.ReadAll(reader); err != nil {
		t.Errorf("read: %v", err)
	}
}

func TestFingerprint_ChangesWithArgumentsAndConfiguration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stages.yaml")
	before := component{name: kwok, program: "/bin/sh", args: []string{"a"}, files: []string{path}}
	fingerprint := func(k component, content string) string {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatalf("write: %v", err)
		}
		result, err := k.fingerprint()
		if err != nil {
			t.Fatalf("fingerprint: %v", err)
		}
		return result
	}
	after := before
	after.args = []string{"b"}
	original := fingerprint(before, "x")
	if fingerprint(before, "x") != original {
		t.Error("the same component got another fingerprint")
	}
	if fingerprint(before, "y") == original || fingerprint(after, "x") == original {
		t.Error("a change is not noticed")
	}
}

// make asks Go at every run whether the sandbox is current, which gives the file a new time and nothing else.
func TestFingerprint_OfARebuiltProgramDependsOnItsContentAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sandbox")
	fingerprint := func(content string, rebuilt bool, at time.Time) string {
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatalf("write: %v", err)
		}
		result, err := component{name: standIn, program: path, rebuilt: rebuilt}.fingerprint()
		if err != nil {
			t.Fatalf("fingerprint: %v", err)
		}
		return result
	}
	now := time.Now()
	later := now.Add(time.Hour)
	if fingerprint("one", true, now) != fingerprint("one", true, later) {
		t.Error("a new time alone calls for a restart")
	}
	if fingerprint("one", true, now) == fingerprint("two", true, now) {
		t.Error("new content is not noticed")
	}
	if fingerprint("one", false, now) == fingerprint("one", false, later) {
		t.Error("a tool that was put in place anew is not noticed")
	}
}

func TestPKI_IssuesWhatEachAuthorityVouchesFor(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if err := c.ensurePKI(t.Context(), state{}); err != nil {
		t.Fatalf("keys: %v", err)
	}
	for _, wanted := range leaves(state{}) {
		certificate := parseCertificate(t, c.path("pki", wanted.name+".crt"))
		for _, by := range []string{clusterCA, etcdCA} {
			roots := x509.NewCertPool()
			roots.AddCert(parseCertificate(t, c.path("pki", by+".crt")))
			_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != (by == wanted.by) {
				t.Errorf("%s checked against %s: %v", wanted.name, by, err)
			}
		}
		if wanted.server && certificate.VerifyHostname("127.0.0.1") != nil {
			t.Errorf("%s does not serve loopback", wanted.name)
		}
	}
}

func parseCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, path)))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatalf("parse %s: %v", path, err)
	}
	return certificate
}

func TestPKI_IsKeptWhenCompleteAndReplacedWhenNot(t *testing.T) {
	t.Parallel()
	c, said := newCluster(t, "dev")
	ca := func() string {
		if err := c.ensurePKI(t.Context(), state{}); err != nil {
			t.Fatalf("keys: %v", err)
		}
		return readFile(t, c.path("pki", clusterCA+".crt"))
	}
	for _, lost := range []string{"admin.key", "admin.crt", "ca.crt", "service-accounts.pub"} {
		first := ca()
		said.Reset()
		if ca() != first || said.Len() > 0 {
			t.Errorf("complete keys were replaced; said %q", said)
		}
		if err := os.Remove(c.path("pki", lost)); err != nil {
			t.Fatalf("remove: %v", err)
		}
		if ca() == first || !strings.Contains(said.String(), "keys are missing") {
			t.Errorf("without %s the others were kept; said %q", lost, said)
		}
	}
}

func TestLock_KeepsTheSecondOutUntilTheFirstIsDone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock.Take(t.Context(), path, func() {})
	if err != nil {
		t.Fatalf("first: %v", err)
	}
	waits := make(chan struct{})
	acquired := make(chan error, 1)
	go func() {
		release, err := lock.Take(t.Context(), path, func() { close(waits) })
		if err == nil {
			release()
		}
		acquired <- err
	}()
	<-waits // returns only if the second one meets the lock
	unlock()
	if err := <-acquired; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestDown_PurgeDeletesTheClusterAndNothingElse(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	other := filepath.Join(c.layout.Clusters(), "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatalf("make other: %v", err)
	}
	startLookalike(t, c, kubeAPIServer)
	wasRunning, err := c.Down(t.Context(), true)
	if err != nil || !wasRunning {
		t.Errorf("got running %t, %v", wasRunning, err)
	}
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", c.Dir, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("other cluster: %v", err)
	}
	if wasRunning, err := c.Down(t.Context(), false); err != nil || wasRunning {
		t.Errorf("second time: got running %t, %v", wasRunning, err)
	}
}

func TestStatus_OfHalfAClusterIsBrokenAndSaysHowToRepairIt(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	startLookalike(t, c, etcd)
	status, err := c.Status(t.Context())
	if err != nil || status.Health != Broken {
		t.Fatalf("got %s, %v", status.Health, err)
	}
	for _, want := range []string{kubeAPIServer, standIn, "sandbox up --name dev"} {
		if !strings.Contains(status.Problem, want) {
			t.Errorf("want %q in %q", want, status.Problem)
		}
	}
	if _, err := json.Marshal(status); err != nil {
		t.Errorf("not printable as JSON: %v", err)
	}
}
