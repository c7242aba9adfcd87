//go:build linux

package replica

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// plainName is what may be part of a file's name.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ValidName says whether the name can be a replica's, a snapshot's or a backup's.
func ValidName(name string) bool { return plainName.MatchString(name) }

// Snapshot keeps the content as it is now. The engine holds writes meanwhile. A snapshot of the same name stays as it is.
func (f *Files) Snapshot(name string, now time.Time) error {
	if !ValidName(name) {
		return fmt.Errorf("%q is no name of a snapshot", name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.indexOf(name) >= 0 {
		return nil
	}
	if err := clone(f.image, f.snapshotPath(name), f.meta.Size); err != nil {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	f.meta.Snapshots = append(f.meta.Snapshots, Snapshot{name, f.meta.Size, now})
	return f.save()
}

// AddSnapshot makes room for a snapshot that a rebuild fills. Content that is there already stays to be compared.
func (f *Files) AddSnapshot(s Snapshot) error {
	if !ValidName(s.Name) {
		return fmt.Errorf("%q is no name of a snapshot", s.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.meta.Rebuilding {
		return errors.New("not being rebuilt")
	}
	file, err := os.OpenFile(f.snapshotPath(s.Name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	if err := errors.Join(file.Truncate(s.Size), file.Close()); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Name, err)
	}
	if at := f.indexOf(s.Name); at >= 0 {
		f.meta.Snapshots[at] = s
	} else {
		f.meta.Snapshots = append(f.meta.Snapshots, s)
	}
	return f.save()
}

// RemoveSnapshot removes a snapshot; one that is not there is gone already.
func (f *Files) RemoveSnapshot(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.indexOf(name)
	if at < 0 {
		return nil
	}
	f.meta.Snapshots = slices.Delete(slices.Clone(f.meta.Snapshots), at, at+1)
	if file := f.snapshots[name]; file != nil {
		_ = file.Close() // it was only read
		delete(f.snapshots, name)
	}
	if err := f.save(); err != nil {
		return err
	}
	if err := os.Remove(f.snapshotPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return nil
}

// Allocated is how many bytes a snapshot's file takes on the disk; 0 if it is gone.
func (f *Files) Allocated(name string) int64 {
	var seen unix.Stat_t
	if err := unix.Stat(f.snapshotPath(name), &seen); err != nil {
		return 0
	}
	return seen.Blocks * 512 // stat(2) counts in these, whatever the filesystem's block is
}

// clone copies a file: as a reflink where the filesystem can, else only what is no hole.
func clone(source *os.File, path string, size int64) (err error) {
	target, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Sync(), target.Close()) }()
	if unix.IoctlFileClone(int(target.Fd()), int(source.Fd())) == nil {
		return nil
	}
	if err := target.Truncate(size); err != nil {
		return err
	}
	for from := int64(0); from < size; {
		start, err := unix.Seek(int(source.Fd()), from, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= size {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(source.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, size)
		if _, err := io.Copy(io.NewOffsetWriter(target, start), io.NewSectionReader(source, start, end-start)); err != nil {
			return err
		}
		from = end
	}
	return nil
}
