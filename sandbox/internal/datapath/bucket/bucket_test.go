//go:build linux

package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/replica"
)

const size = 5*bucket.BlockSize + 4096

func files(t *testing.T) *replica.Files {
	t.Helper()
	f, err := replica.Open(t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func nothing(int) {}

// source has a snapshot with two blocks of data and an end that is no whole block.
func source(t *testing.T) *replica.Files {
	t.Helper()
	f := files(t)
	for _, offset := range []int64{100, 3 * bucket.BlockSize, size - 5} {
		if err := f.WriteAt("", offset, []byte("saved")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteAt("", bucket.BlockSize, make([]byte, bucket.BlockSize)); err != nil { // Written, and empty all the same.
		t.Fatal(err)
	}
	if err := f.Snapshot("s1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return f
}

func save(t *testing.T, b bucket.Bucket, name, snapshot string, from bucket.Source) bucket.Backup {
	t.Helper()
	backup, err := b.Save(t.Context(), bucket.Backup{
		Name: name, Volume: "pvc-1", Snapshot: snapshot, Size: size, Created: time.Now(),
	}, from, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return backup
}

func blocks(t *testing.T, b bucket.Bucket) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.Dir, "backupstore/volumes/pvc-1/blocks/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestBucket_RestoresWhatTheSnapshotHad(t *testing.T) {
	b, from, to := bucket.Bucket{Dir: t.TempDir()}, source(t), files(t)
	if err := from.WriteAt("", 100, []byte("later")); err != nil {
		t.Fatal(err)
	}
	backup := save(t, b, "b1", "s1", from)
	if len(backup.Blocks) != 3 || blocks(t, b) != 3 {
		t.Errorf("%d blocks, %d files: zeros are stored, or data is missing", len(backup.Blocks), blocks(t, b))
	}
	if err := b.Restore(t.Context(), "pvc-1", "b1", to, nothing); err != nil {
		t.Fatal(err)
	}
	want, err := from.ReadAt("s1", 0, size)
	if err != nil {
		t.Fatal(err)
	}
	got, err := to.ReadAt("", 0, size)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("restored content differs: %v", err)
	}
}

func TestBucket_ASecondBackupStoresOnlyWhatIsNew(t *testing.T) {
	b, from := bucket.Bucket{Dir: t.TempDir()}, source(t)
	save(t, b, "b1", "s1", from)
	if err := from.WriteAt("", 100, []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if err := from.Snapshot("s2", time.Now()); err != nil {
		t.Fatal(err)
	}
	if second := save(t, b, "b2", "s2", from); second.Uploaded != bucket.BlockSize {
		t.Errorf("uploaded %d bytes", second.Uploaded)
	}
	if err := b.Delete("pvc-1", "b1"); err != nil {
		t.Fatal(err)
	}
	if blocks(t, b) != 3 {
		t.Errorf("%d blocks are left of the second backup", blocks(t, b))
	}
	if err := b.Restore(t.Context(), "pvc-1", "b2", files(t), nothing); err != nil {
		t.Error(err)
	}
	if err := errors.Join(b.Delete("pvc-1", "b2"), b.Delete("pvc-1", "b2")); err != nil || blocks(t, b) != 0 {
		t.Errorf("%d blocks are left, %v", blocks(t, b), err)
	}
}

type breaking struct {
	bucket.Source
	stop func()
	left int
}

func (s *breaking) ReadAt(name string, offset, length int64) ([]byte, error) {
	if s.left--; s.left == 0 {
		s.stop()
	}
	return s.Source.ReadAt(name, offset, length)
}

func TestBucket_HalfABackupIsNone(t *testing.T) {
	b, from := bucket.Bucket{Dir: t.TempDir()}, source(t)
	ctx, stop := context.WithCancel(t.Context())
	_, err := b.Save(ctx, bucket.Backup{Name: "half", Volume: "pvc-1", Snapshot: "s1", Size: size},
		&breaking{from, stop, 2}, nothing)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if listed, err := b.List("pvc-1"); err != nil || len(listed) != 0 {
		t.Errorf("listed %v, %v", listed, err)
	}
	if _, err := b.Get("pvc-1", "half"); !errors.Is(err, bucket.ErrNone) {
		t.Error(err)
	}
	if blocks(t, b) == 0 {
		t.Error("the test interrupted nothing")
	}
	if volumes, err := b.Volumes(); err != nil || len(volumes) != 1 || volumes[0] != "pvc-1" {
		t.Errorf("volumes %v, %v", volumes, err)
	}
}

func TestBucket_DamageIsNoticed(t *testing.T) {
	b, from := bucket.Bucket{Dir: t.TempDir()}, source(t)
	save(t, b, "b1", "s1", from)
	found, err := filepath.Glob(filepath.Join(b.Dir, "backupstore/volumes/pvc-1/blocks/*/*"))
	if err != nil || len(found) == 0 {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(t.Context(), "pvc-1", "b1", files(t), nothing); err == nil {
		t.Error("a damaged block was restored")
	}
}

func TestBucket_AFullBackupUploadsEverythingAgain(t *testing.T) {
	b, from := bucket.Bucket{Dir: t.TempDir()}, source(t)
	first := save(t, b, "b1", "s1", from)
	full, err := b.Save(t.Context(), bucket.Backup{Name: "b2", Volume: "pvc-1", Snapshot: "s1", Size: size, Full: true}, from, nothing)
	const content = 2*bucket.BlockSize + 4096 // the last block is no whole one
	if err != nil || full.Uploaded != 0 || full.Again != content || full.Content != content || first.Content != content {
		t.Errorf("uploaded %d and %d again of %d, %v", full.Uploaded, full.Again, full.Content, err)
	}
	if got := bucket.Stored([]bucket.Backup{first, full, {Uploaded: 5}}); got != 3*bucket.BlockSize+5 {
		t.Errorf("stored %d", got)
	}
}

func TestBucket_NothingIsDeletedWhileABackupIsUnderWay(t *testing.T) {
	b, from := bucket.Bucket{Dir: t.TempDir()}, source(t)
	if err := b.Record(bucket.Backup{Name: "b1", Volume: "pvc-1"}); err != nil {
		t.Fatal(err)
	}
	var errs []error
	ask := func() { errs = append(errs, b.Delete("pvc-1", "b1"), b.DeleteVolume("pvc-1")) }
	if _, err := b.Save(t.Context(), bucket.Backup{Name: "b2", Volume: "pvc-1", Snapshot: "s1", Size: size}, &breaking{from, ask, 1}, nothing); err != nil {
		t.Fatal(err)
	}
	for _, err := range errs {
		if !errors.Is(err, bucket.ErrBusy) {
			t.Errorf("got %v", err)
		}
	}
	if listed, err := b.List("pvc-1"); err != nil || len(listed) != 2 {
		t.Errorf("listed %v, %v", listed, err)
	}
	if err := b.DeleteVolume("pvc-1"); err != nil {
		t.Fatal(err)
	}
	if volumes, err := b.Volumes(); err != nil || len(volumes) != 0 {
		t.Errorf("volumes %v, %v", volumes, err)
	}
}
