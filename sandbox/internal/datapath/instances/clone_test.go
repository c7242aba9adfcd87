//go:build linux

package instances_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/replica"
	"ha-iris/sandbox/internal/datapath/testkit"
	"ha-iris/sandbox/internal/datapath/wire"
)

const (
	mega = 1 << 20
	// cloned is the size of volumes that are cloned here.
	cloned = 16 * mega
	// patience is the replica timeout of clones.
	patience = 500 * time.Millisecond
)

// original is a volume in use, and its replica.
type original struct {
	*engine.Engine
	replica *testkit.Replica
}

// newOriginal has data at its begin and at its end, a block and a half of them in the middle, and a snapshot s1 of that.
func newOriginal(t *testing.T) *original {
	t.Helper()
	r := testkit.StartReplica(t, filepath.Join(t.TempDir(), "source"), cloned)
	e, err := engine.Start(t.Context(), engine.Config{
		Name: "v-e-0", Size: cloned, Replicas: testkit.Addresses(r), Timeout: 10 * time.Second, Log: testkit.Log(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	o := &original{e, r}
	random := rand.NewChaCha8([32]byte{7})
	for offset, length := range map[int64]int{0: 4 * mega, 8*mega + 512: 6000, cloned - 3*mega: 3 * mega} {
		content := make([]byte, length)
		if _, err := io.ReadFull(random, content); err != nil {
			t.Fatal(err)
		}
		o.write(t, offset, content)
	}
	if err := o.Snapshot("s1"); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *original) write(t *testing.T, offset int64, content []byte) {
	t.Helper()
	if _, err := o.WriteAt(content, offset); err != nil {
		t.Fatal(err)
	}
}

func (o *original) clone() imclient.Clone {
	return imclient.Clone{Snapshot: "s1", Address: o.replica.Address(), ReplicaTimeout: patience}
}

// newPlain is a node without devices: cloning needs none, and so no rights.
func newPlain(t *testing.T) *node {
	t.Helper()
	return startNode(t, t.TempDir())
}

// target starts the replica that is to be filled.
func (n *node) target(t *testing.T) string {
	t.Helper()
	r, err := n.client.StartReplica(t.Context(), imclient.StartReplica{Name: "copy", Directory: disk, Size: cloned})
	if err != nil {
		t.Fatal(err)
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.Port}).String()
}

func (n *node) image() string { return filepath.Join(n.root, disk, "replicas/copy/volume.img") }

// failure is why a clone that must not succeed has failed. What it has filled is no replica.
func (n *node) failure(t *testing.T, task imclient.Task) string {
	t.Helper()
	task, err := n.client.Wait(t.Context(), task)
	if err == nil || task.State != imclient.Failed {
		t.Fatalf("got %+v, %v", task, err)
	}
	address := n.restarted(t)
	config := engine.Config{Name: "c-e-0", Size: cloned, Replicas: map[string]string{"copy": address}, Timeout: patience, Log: testkit.Log()}
	if e, err := engine.Start(t.Context(), config); err == nil {
		e.Close()
		t.Error("an engine has opened half a copy")
	}
	return task.Error
}

func (n *node) restarted(t *testing.T) string {
	t.Helper()
	if err := n.client.StopReplica(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	return n.target(t)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var seen unix.Stat_t
	if err := unix.Stat(path, &seen); err != nil {
		t.Fatal(err)
	}
	return seen.Blocks * 512
}

func TestClone_HoldsTheSnapshotWhileItsSourceIsWrittenTo(t *testing.T) {
	t.Parallel()
	o, n := newOriginal(t), newPlain(t)
	snapshot := filepath.Join(o.replica.Dir, "snapshot-s1.img")
	want := sha256.Sum256(read(t, snapshot))
	stop := testkit.Scribble(t, o, cloned)
	n.target(t)
	task, err := n.client.Clone(t.Context(), "copy", o.clone())
	n.done(t, task, err)
	stop()
	if sha256.Sum256(read(t, n.image())) != want || sha256.Sum256(read(t, o.replica.Image())) == want {
		t.Error("the clone does not have the snapshot's content, or the source was not written to")
	}
	if has, had := blocks(t, n.image()), blocks(t, snapshot); has > had || has < 7*mega {
		t.Errorf("the clone takes %d bytes on the disk, and the snapshot %d: holes have to stay", has, had)
	}
	if all := o.Replicas(); len(all) != 1 || all[0].Mode != engine.ReadWrite {
		t.Errorf("the source's engine has %+v", all)
	}
	config := engine.Config{Name: "c-e-0", Size: cloned, Replicas: map[string]string{"copy": n.restarted(t)}, Timeout: patience, Log: testkit.Log()}
	e, err := engine.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.WriteAt([]byte("own"), 0); err != nil || sha256.Sum256(read(t, snapshot)) != want {
		t.Errorf("the clone cannot be written to, or its source changes with it: %v", err)
	}
}

func TestClone_EndsWithTheSizeOfAVolumeThatHasGrown(t *testing.T) {
	t.Parallel()
	o, n := newOriginal(t), newPlain(t)
	_, err := n.client.StartReplica(t.Context(), imclient.StartReplica{Name: "copy", Directory: disk, Size: 2 * cloned})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.image(), bytes.Repeat([]byte("old"), mega*8), 0o600); err != nil {
		t.Fatal(err)
	}
	task, err := n.client.Clone(t.Context(), "copy", o.clone())
	n.done(t, task, err)
	content := read(t, n.image())
	if !bytes.Equal(content[:cloned], read(t, filepath.Join(o.replica.Dir, "snapshot-s1.img"))) || bytes.ContainsAny(content[cloned:], "old") {
		t.Error("what an earlier attempt has left shows through")
	}
	small := newPlain(t)
	_, err = small.client.StartReplica(t.Context(), imclient.StartReplica{Name: "copy", Directory: disk, Size: cloned / 2})
	if err != nil {
		t.Fatal(err)
	}
	task, err = small.client.Clone(t.Context(), "copy", o.clone())
	if err != nil {
		t.Fatal(err)
	}
	if got := small.failure(t, task); !strings.Contains(got, "more than the replica's") {
		t.Errorf("got %q", got)
	}
}

// tap is a connection to the target that lets through so many bytes of it, and the rest when it is opened.
type tap struct {
	net.Listener
	passed, opened chan struct{}
}

func newTap(t *testing.T, target string, first int64) *tap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener, make(chan struct{}), make(chan struct{})}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = near.Close() }()
		far, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer func() { _ = far.Close() }()
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.CopyN(near, far, first)
		close(p.passed)
		<-p.opened
		_, _ = io.Copy(near, far)
	}()
	return p
}

// through begins to clone, and returns in the middle of it.
func (n *node) through(t *testing.T, o *original, patience time.Duration) (*tap, imclient.Task) {
	t.Helper()
	p := newTap(t, o.replica.Address(), 2*mega+mega/2)
	request := o.clone()
	request.Address, request.ReplicaTimeout = p.Addr().String(), patience
	task, err := n.client.Clone(t.Context(), "copy", request)
	if err != nil {
		t.Fatal(err)
	}
	<-p.passed
	return p, task
}

func TestClone_FailsWithoutItsSnapshotOrItsSource(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, o *original){
		"snapshot removed": func(t *testing.T, o *original) {
			if err := o.RemoveSnapshot("s1"); err != nil {
				t.Fatal(err)
			}
		},
		"another one of its name": func(t *testing.T, o *original) {
			if err := o.RemoveSnapshot("s1"); err != nil {
				t.Fatal(err)
			}
			o.write(t, 0, bytes.Repeat([]byte("later"), mega/8))
			if err := o.Snapshot("s1"); err != nil {
				t.Fatal(err)
			}
		},
		"source ended": func(t *testing.T, o *original) {
			if err := o.replica.Close(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, n := newOriginal(t), newPlain(t)
			n.target(t)
			p, task := n.through(t, o, 10*time.Second)
			end(t, o)
			close(p.opened)
			t.Log(n.failure(t, task))
		})
	}
}

func TestClone_DoesNotWaitForASilentSource(t *testing.T) {
	t.Parallel()
	o, n := newOriginal(t), newPlain(t)
	n.target(t)
	began := time.Now()
	p, task := n.through(t, o, patience)
	defer close(p.opened)
	if got := n.failure(t, task); !strings.Contains(got, wire.ErrSilent.Error()) || time.Since(began) > 4*patience {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
}

func TestClone_IsTheOnlyOneInItsReplica(t *testing.T) {
	t.Parallel()
	o, n := newOriginal(t), newPlain(t)
	address := n.target(t)
	p, task := n.through(t, o, 10*time.Second)
	request := o.clone()
	again, err := n.client.Clone(t.Context(), "copy", request)
	if err != nil || again.ID != task.ID || again.State != imclient.Running || again.Progress < 1 || again.Progress > 99 {
		t.Errorf("got %+v, %v; want the clone that is under way", again, err)
	}
	request.Snapshot = "s2"
	if _, err := n.client.Clone(t.Context(), "copy", request); err == nil {
		t.Error("a second clone has begun in the same replica")
	}
	for _, how := range []string{"", wire.Rebuilding} {
		if _, err := ask(t, address, wire.Request{Op: wire.Open, Name: how, Length: cloned}); !errors.Is(err, wire.ErrRefused) {
			t.Errorf("an engine has opened it as %q: %v", how, err)
		}
	}
	close(p.opened)
	n.done(t, task, nil)
	if again, err := n.client.Clone(t.Context(), "copy", o.clone()); err != nil || again.State != imclient.Complete {
		t.Errorf("got %+v, %v; want the clone that has ended", again, err)
	}
}

// A replica that is stopped in the middle belongs to the next process of its name; the clone must not touch it any more.
func TestClone_EndsWithItsReplicasProcess(t *testing.T) {
	t.Parallel()
	o, n := newOriginal(t), newPlain(t)
	n.target(t)
	p, task := n.through(t, o, 10*time.Second)
	n.restarted(t)
	next, err := n.client.Clone(t.Context(), "copy", o.clone())
	if err != nil || next.ID == task.ID {
		t.Fatalf("got %+v, %v; want another clone", next, err)
	}
	n.done(t, next, nil)
	close(p.opened)
	if got, err := n.client.Wait(t.Context(), task); err == nil {
		t.Errorf("got %+v of the clone whose replica was stopped", got)
	}
	if !bytes.Equal(read(t, n.image()), read(t, filepath.Join(o.replica.Dir, "snapshot-s1.img"))) {
		t.Error("the second clone does not have the snapshot's content")
	}
}

// What has filled a replica says so last. It must not, once the replica's files are another process' own.
func TestClone_SaysNothingOfFilesThatWereClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []*replica.Files
	for range 2 {
		opened, err := replica.Open(dir, cloned)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, opened)
		if err := opened.SetRebuilding(true); err != nil {
			t.Fatal(err)
		}
	}
	if err := files[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := files[0].SetRebuilding(false); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := files[1].Close(); err != nil {
		t.Fatal(err)
	}
	again, err := replica.Open(dir, cloned)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if !again.Meta().Rebuilding {
		t.Error("half a copy counts as a whole one")
	}
}

func ask(t *testing.T, address string, requests ...wire.Request) (answer []byte, err error) {
	t.Helper()
	client, err := wire.Dial(t.Context(), address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, request := range requests {
		if answer, err = client.Do(request); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func TestClone_ASecondConnectionOnlyReadsItsSnapshot(t *testing.T) {
	t.Parallel()
	o := newOriginal(t)
	if err := o.Snapshot("s2"); err != nil {
		t.Fatal(err)
	}
	open := wire.Request{Op: wire.OpenSnapshot, Name: "s1"}
	if answer, err := ask(t, o.replica.Address(), open, wire.Request{Op: wire.Read, Name: "s1", Length: 512}); err != nil || len(answer) != 512 {
		t.Errorf("got %d bytes, %v", len(answer), err)
	}
	for what, request := range map[string]wire.Request{
		"reads the head":          {Op: wire.Read, Length: 512},
		"reads another snapshot":  {Op: wire.Read, Name: "s2", Length: 512},
		"writes":                  {Op: wire.Write, Data: []byte("x")},
		"writes the snapshot":     {Op: wire.Write, Name: "s1", Data: []byte("x")},
		"removes the snapshot":    {Op: wire.RemoveSnapshot, Name: "s1"},
		"opens what is not there": {Op: wire.OpenSnapshot, Name: "s3"},
		"opens the replica":       {Op: wire.Open, Length: cloned},
	} {
		if _, err := ask(t, o.replica.Address(), open, request); !errors.Is(err, wire.ErrRefused) {
			t.Errorf("it %s: %v", what, err)
		}
	}
	if err := o.replica.Files().SetRebuilding(true); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, o.replica.Address(), open); !errors.Is(err, wire.ErrRefused) {
		t.Errorf("a replica that lacks data is read: %v", err)
	}
	if err := o.replica.Files().SetRebuilding(false); err != nil {
		t.Fatal(err)
	}
	if err := o.Flush(); err != nil {
		t.Errorf("the engine has lost its replica: %v", err)
	}
}
