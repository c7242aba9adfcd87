//go:build linux

package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/testkit"
)

const (
	mega = 1 << 20
	size = 16 * mega
	// patience is the replica timeout of tests that do not measure it.
	patience = 500 * time.Millisecond
)

func replicas(t *testing.T, number int) []*testkit.Replica {
	t.Helper()
	var all []*testkit.Replica
	for i := range number {
		all = append(all, testkit.StartReplica(t, filepath.Join(t.TempDir(), "r"+strconv.Itoa(i)), size))
	}
	return all
}

func start(t *testing.T, addresses map[string]string, timeout time.Duration) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{Name: "v-e-0", Size: size, Replicas: addresses, Timeout: timeout, Log: testkit.Log()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func modes(e *engine.Engine) map[string]engine.Mode {
	all := map[string]engine.Mode{}
	for _, r := range e.Replicas() {
		all[r.Name] = r.Mode
	}
	return all
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

func write(t *testing.T, e *engine.Engine, offset int64, content []byte) {
	t.Helper()
	if _, err := e.WriteAt(content, offset); err != nil {
		t.Fatal(err)
	}
}

func TestEngine_WritesToEveryReplica(t *testing.T) {
	all := replicas(t, 3)
	e := start(t, testkit.Addresses(all...), patience)
	write(t, e, 4096, []byte("acknowledged"))
	for _, r := range all {
		content, err := os.ReadFile(r.Image())
		if err != nil || !bytes.Equal(content[4096:4108], []byte("acknowledged")) {
			t.Errorf("%s has %q, %v", r.Name, content[4096:4108], err)
		}
	}
	if _, err := e.WriteAt([]byte("x"), size); err == nil {
		t.Error("a write beyond the end succeeded")
	}
}

// The one test with the original's timeout: 8 s, after which the original was seen to go on within 8.8 to 9.1 s.
func TestEngine_SilentReplicaStallsForTheTimeout(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 9 s")
	}
	all := replicas(t, 3)
	cable := testkit.NewCable(t, all[2].Address())
	addresses := testkit.Addresses(all...)
	addresses["r2"] = cable.Address()
	e := start(t, addresses, 8*time.Second)
	write(t, e, 0, []byte("before"))
	cable.Cut()
	began := time.Now()
	write(t, e, 0, []byte("after"))
	if took := time.Since(began); took < 8*time.Second || took > 9500*time.Millisecond {
		t.Errorf("stalled for %v", took)
	}
	if got := modes(e); got["r2"] != engine.Failed || got["r0"] != engine.ReadWrite || got["r1"] != engine.ReadWrite {
		t.Error(got)
	}
	began = time.Now()
	write(t, e, 0, []byte("later"))
	if took := time.Since(began); took > time.Second {
		t.Errorf("still stalls, for %v", took)
	}
}

func TestEngine_IdleNoticesASilentReplica(t *testing.T) {
	t.Parallel()
	all := replicas(t, 2)
	cable := testkit.NewCable(t, all[1].Address())
	e := start(t, map[string]string{"r0": all[0].Address(), "r1": cable.Address()}, patience)
	cable.Cut()
	eventually(t, 5*time.Second, func() bool { return modes(e)["r1"] == engine.Failed })
}

func TestEngine_GoesOnWithTheLocalReplicaAlone(t *testing.T) {
	all := replicas(t, 3)
	near, far := testkit.NewCable(t, all[1].Address()), testkit.NewCable(t, all[2].Address())
	e := start(t, map[string]string{"r0": all[0].Address(), "r1": near.Address(), "r2": far.Address()}, patience)
	near.Cut()
	far.Cut()
	write(t, e, 0, []byte("isolated"))
	data := make([]byte, 8)
	if _, err := e.ReadAt(data, 0); err != nil || string(data) != "isolated" {
		t.Errorf("read %q, %v", data, err)
	}
	content, err := os.ReadFile(all[1].Image())
	if err != nil || bytes.HasPrefix(content, []byte("isolated")) {
		t.Errorf("a replica behind the cut has the write: %v", err)
	}
}

func TestEngine_WithoutAnyReplicaGivesErrors(t *testing.T) {
	all := replicas(t, 2)
	e := start(t, testkit.Addresses(all...), patience)
	began := time.Now()
	for _, r := range all {
		if err := r.Close(); err != nil { // The connection breaks, which is noticed at once.
			t.Fatal(err)
		}
	}
	if _, err := e.WriteAt([]byte("x"), 0); !errors.Is(err, engine.ErrNoReplica) {
		t.Errorf("write: %v", err)
	}
	if _, err := e.ReadAt(make([]byte, 1), 0); !errors.Is(err, engine.ErrNoReplica) {
		t.Errorf("read: %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("took %v", took)
	}
}

// Longhorn compares nothing at the start (longhorn-real.md, run 3).
func TestEngine_ReplicasThatDifferGiveMixedReads(t *testing.T) {
	all := replicas(t, 2)
	e := start(t, testkit.Addresses(all...), patience)
	write(t, e, 0, []byte("old"))
	e.Close()
	all[0] = testkit.Restart(t, all[0])
	all[1] = testkit.Restart(t, all[1])
	alone := start(t, testkit.Addresses(all[0]), patience)
	write(t, alone, 0, []byte("new"))
	alone.Close()
	all[0] = testkit.Restart(t, all[0])
	both := start(t, testkit.Addresses(all...), patience)
	seen := map[string]bool{}
	for range 4 {
		data := make([]byte, 3)
		if _, err := both.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		seen[string(data)] = true
	}
	if !seen["old"] || !seen["new"] {
		t.Errorf("read only %v", seen)
	}
}

func TestEngine_OpensAReplicaOnlyAfterItsRestart(t *testing.T) {
	all := replicas(t, 1)
	first := start(t, testkit.Addresses(all...), patience)
	config := engine.Config{Name: "second", Size: size, Replicas: testkit.Addresses(all...), Timeout: patience, Log: testkit.Log()}
	if _, err := engine.Start(t.Context(), config); err == nil {
		t.Fatal("a second engine opened the replica")
	}
	first.Close()
	if _, err := engine.Start(t.Context(), config); err == nil {
		t.Fatal("opened again without a restart")
	}
	start(t, testkit.Addresses(testkit.Restart(t, all[0])), patience)
}

func TestEngine_StartsWithAReplicaThatIsAway(t *testing.T) {
	all := replicas(t, 2)
	if err := all[1].Close(); err != nil {
		t.Fatal(err)
	}
	e := start(t, testkit.Addresses(all...), patience)
	if got := modes(e); got["r0"] != engine.ReadWrite || got["r1"] != engine.Failed {
		t.Error(got)
	}
}

func TestEngine_RebuildUnderWritesEndsIdentical(t *testing.T) {
	all := replicas(t, 1)
	e := start(t, testkit.Addresses(all...), 10*time.Second)
	random := rand.NewChaCha8([32]byte{1})
	fill(t, e, random)
	if err := e.Snapshot("before"); err != nil {
		t.Fatal(err)
	}
	fresh := testkit.StartReplica(t, filepath.Join(t.TempDir(), "fresh"), size)
	write(t, e, 12*mega, make([]byte, mega)) // Zeros over what a stale copy would show.
	var stop atomic.Bool
	written := make(chan error, 1)
	go func() { written <- scribble(e, &stop) }()
	if err := e.Add(t.Context(), "fresh", fresh.Address(), 8*mega); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	seen := map[int]bool{}
	eventually(t, 20*time.Second, func() bool {
		for _, r := range e.Replicas() {
			if r.Rebuild != nil {
				seen[r.Rebuild.Progress] = true
			}
		}
		return modes(e)["fresh"] == engine.ReadWrite
	})
	if took := time.Since(began); took < 700*time.Millisecond { // 8 MiB or more of data at 8 MiB/s.
		t.Errorf("faster than its rate: %v", took)
	}
	stop.Store(true)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if len(seen) < 4 || !seen[100] {
		t.Errorf("progress %v", seen)
	}
	for _, name := range []string{"volume.img", "snapshot-before.img"} {
		if sum(t, filepath.Join(all[0].Dir, name)) != sum(t, filepath.Join(fresh.Dir, name)) {
			t.Errorf("%s differs", name)
		}
	}
	if sum(t, all[0].Image()) == sum(t, filepath.Join(all[0].Dir, "snapshot-before.img")) {
		t.Error("the snapshot shows later writes")
	}
}

func fill(t *testing.T, e *engine.Engine, random io.Reader) {
	t.Helper()
	block := make([]byte, mega)
	for i := range int64(16) {
		if i%4 == 3 && i != 3 {
			continue // A hole.
		}
		if _, err := io.ReadFull(random, block); err != nil {
			t.Fatal(err)
		}
		write(t, e, i*mega, block)
	}
}

func scribble(e *engine.Engine, stop *atomic.Bool) error {
	random := rand.New(rand.NewPCG(1, 2))
	for !stop.Load() {
		block := bytes.Repeat([]byte{byte(random.Uint32())}, 4096)
		if _, err := e.WriteAt(block, random.Int64N(size/4096)*4096); err != nil {
			return err
		}
	}
	return nil
}

func TestEngine_InterruptedRebuildLeavesTheReplicaFailed(t *testing.T) {
	all := replicas(t, 1)
	e := start(t, testkit.Addresses(all...), patience)
	fill(t, e, rand.NewChaCha8([32]byte{2}))
	fresh := testkit.StartReplica(t, filepath.Join(t.TempDir(), "fresh"), size)
	cable := testkit.NewCable(t, fresh.Address())
	if err := e.Add(t.Context(), "fresh", cable.Address(), 4*mega); err != nil {
		t.Fatal(err)
	}
	if got := modes(e)["fresh"]; got != engine.WriteOnly {
		t.Errorf("mode %s during the rebuild", got)
	}
	cable.Cut()
	eventually(t, 5*time.Second, func() bool {
		status := e.Replicas()[1]
		if status.Name != "fresh" {
			status = e.Replicas()[0]
		}
		return status.Mode == engine.Failed && status.Rebuild.State == engine.RebuildErr
	})
	e.Close()
	again := testkit.Restart(t, fresh)
	good := testkit.Restart(t, all[0])
	if got := modes(start(t, testkit.Addresses(good, again), patience)); got["fresh"] != engine.Failed || got["r0"] != engine.ReadWrite {
		t.Errorf("half a replica is taken as whole: %v", got)
	}
}

func TestEngine_RebuildOfAnOldReplicaCopiesWhatDiffers(t *testing.T) {
	all := replicas(t, 2)
	e := start(t, testkit.Addresses(all...), patience)
	fill(t, e, rand.NewChaCha8([32]byte{3}))
	old := testkit.Restart(t, all[1])
	write(t, e, 5*mega, []byte("only this differs"))
	if err := e.Remove("r1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := e.Add(t.Context(), "r1", old.Address(), mega); err != nil {
		t.Fatal(err)
	}
	eventually(t, 8*time.Second, func() bool { return modes(e)["r1"] == engine.ReadWrite })
	if took := time.Since(began); took > 5*time.Second { // All 13 MiB would take 13 s.
		t.Errorf("took %v", took)
	}
	if sum(t, all[0].Image()) != sum(t, old.Image()) {
		t.Error("the replicas differ")
	}
}

func TestEngine_GrowthCountsOnEveryReplicaAndNeverShrinks(t *testing.T) {
	all := replicas(t, 2)
	e := start(t, testkit.Addresses(all...), patience)
	if err := e.Grow(2 * size); err != nil {
		t.Fatal(err)
	}
	write(t, e, 2*size-4, []byte("last"))
	for _, r := range all {
		info, err := os.Stat(r.Image())
		if err != nil || info.Size() != 2*size {
			t.Errorf("%s: %v, %v", r.Name, info.Size(), err)
		}
	}
	if err := e.Grow(size); err == nil {
		t.Error("the volume shrank")
	}
	if got := modes(e); got["r0"] != engine.ReadWrite || got["r1"] != engine.ReadWrite {
		t.Error(got)
	}
}

func TestEngine_StartGrowsASmallerReplicaAndRefusesALargerOne(t *testing.T) {
	smaller := testkit.StartReplica(t, filepath.Join(t.TempDir(), "smaller"), size/2)
	larger := testkit.StartReplica(t, filepath.Join(t.TempDir(), "larger"), size*2)
	e := start(t, testkit.Addresses(smaller, larger), patience)
	if got := modes(e); got["smaller"] != engine.ReadWrite || got["larger"] != engine.Failed {
		t.Error(got)
	}
	write(t, e, size-4, []byte("last"))
}

func TestEngine_SnapshotsCanBeRemoved(t *testing.T) {
	all := replicas(t, 2)
	e := start(t, testkit.Addresses(all...), patience)
	write(t, e, 0, []byte("then"))
	if err := e.Snapshot("s1"); err != nil {
		t.Fatal(err)
	}
	write(t, e, 0, []byte("now!"))
	for _, r := range all {
		data, err := r.Files().ReadAt("s1", 0, 4)
		if err != nil || string(data) != "then" {
			t.Errorf("%s: snapshot has %q, %v", r.Name, data, err)
		}
		if got := r.Files().Allocated("s1"); got < 4 || got > mega {
			t.Errorf("%s: the snapshot takes %d bytes", r.Name, got)
		}
	}
	if err := e.RemoveSnapshot("s1"); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(all[1].Files().Meta())
	if err != nil || bytes.Contains(content, []byte("s1")) {
		t.Errorf("still listed: %s, %v", content, err)
	}
	if _, err := os.Stat(filepath.Join(all[1].Dir, "snapshot-s1.img")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file: %v", err)
	}
	if got := all[0].Files().Allocated("s1"); got != 0 {
		t.Errorf("what is gone takes %d bytes", got)
	}
}

func eventually(t *testing.T, limit time.Duration, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if reached() {
			return
		}
	}
	t.Fatalf("not reached in %v", limit)
}
