//go:build linux

// Package replica keeps one replica of a volume in a directory of a node's disk, and serves it to one engine.
package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	imageName    = "volume.img"
	metaName     = "volume.meta"
	snapshotName = "snapshot-%s.img"
)

// Meta is what a replica knows of itself. There is no revision counter: the CSI driver switches the original's off, and so
// nothing tells replicas apart that have diverged (longhorn-real.md).
type Meta struct {
	Size int64 `json:"size"`
	// Rebuilding: the replica lacks data. It stays until a rebuild has ended well.
	Rebuilding bool       `json:"rebuilding"`
	Snapshots  []Snapshot `json:"snapshots,omitempty"`
}

// Snapshot is a copy of the volume as it was.
type Snapshot struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	Created time.Time `json:"created"`
}

// Files are a replica's files. What was written survives the end of this process as a disk would: it is in the kernel's
// cache of the file. Only a flush makes it survive the machine.
type Files struct {
	dir string

	mu        sync.Mutex
	closed    bool
	meta      Meta
	image     *os.File
	snapshots map[string]*os.File
}

// Open opens the replica in the directory, and makes it if there is none.
func Open(dir string, size int64) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make replica: %w", err)
	}
	f := &Files{dir: dir, meta: Meta{Size: size}, snapshots: map[string]*os.File{}}
	content, err := os.ReadFile(filepath.Join(dir, metaName))
	switch {
	case err == nil:
		if err := json.Unmarshal(content, &f.meta); err != nil {
			return nil, fmt.Errorf("metadata of replica %s: %w", dir, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("open replica: %w", err)
	}
	f.image, err = os.OpenFile(filepath.Join(dir, imageName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open replica: %w", err)
	}
	if err := errors.Join(f.image.Truncate(f.meta.Size), f.save()); err != nil {
		_ = f.image.Close() // the first error counts
		return nil, fmt.Errorf("open replica %s: %w", dir, err)
	}
	return f, nil
}

// Close closes the files. It does not flush.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	errs := []error{f.image.Close()}
	for _, file := range f.snapshots {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Meta returns the metadata as it is now.
func (f *Files) Meta() Meta {
	f.mu.Lock()
	defer f.mu.Unlock()
	meta := f.meta
	meta.Snapshots = slices.Clone(meta.Snapshots)
	return meta
}

// Grow makes the replica larger; a smaller size is refused.
func (f *Files) Grow(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < f.meta.Size {
		return fmt.Errorf("size %d is below the replica's %d", size, f.meta.Size)
	}
	if size == f.meta.Size {
		return nil
	}
	if err := f.image.Truncate(size); err != nil {
		return fmt.Errorf("grow replica: %w", err)
	}
	f.meta.Size = size
	return f.save()
}

// SetRebuilding notes whether the replica lacks data.
func (f *Files) SetRebuilding(rebuilding bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meta.Rebuilding = rebuilding
	return f.save()
}

// save replaces the metadata at once, so that a kill leaves the old or the new. After the end it writes nothing: the files are
// somebody else's by then.
func (f *Files) save() error {
	if f.closed {
		return fmt.Errorf("metadata of replica %s: %w", f.dir, os.ErrClosed)
	}
	content, err := json.Marshal(f.meta)
	if err != nil {
		return fmt.Errorf("metadata of replica %s: %w", f.dir, err)
	}
	path := filepath.Join(f.dir, metaName)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("metadata of replica %s: %w", f.dir, err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close(), os.Rename(path+".new", path)); err != nil {
		return fmt.Errorf("metadata of replica %s: %w", f.dir, err)
	}
	return nil
}

// Remove removes a replica's directory.
func Remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove replica: %w", err)
	}
	return nil
}

// file returns the file of the volume's content, or of a snapshot, with its size.
func (f *Files) file(name string) (*os.File, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == "" {
		return f.image, f.meta.Size, nil
	}
	at := f.indexOf(name)
	if at < 0 {
		return nil, 0, fmt.Errorf("no snapshot %s", name)
	}
	size := f.meta.Snapshots[at].Size
	if file := f.snapshots[name]; file != nil {
		return file, size, nil
	}
	file, err := os.OpenFile(f.snapshotPath(name), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open snapshot: %w", err)
	}
	f.snapshots[name] = file
	return file, size, nil
}

func (f *Files) indexOf(name string) int {
	return slices.IndexFunc(f.meta.Snapshots, func(s Snapshot) bool { return s.Name == name })
}

func (f *Files) snapshotPath(name string) string {
	return filepath.Join(f.dir, fmt.Sprintf(snapshotName, name))
}

// within refuses what lies outside of the volume: its size is enforced here, not only by the device.
func within(offset, length, size int64) error {
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return fmt.Errorf("%d bytes at %d are outside of %d: %w", length, offset, size, unix.EINVAL)
	}
	return nil
}
