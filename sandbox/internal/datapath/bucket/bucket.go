// Package bucket keeps backups in a directory that plays an object store: blocks by checksum, each once per volume, and a
// manifest per backup that is written last, so that half a backup is none.
package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BlockSize is Longhorn's default backup block (longhorn.md 7).
const BlockSize = 2 << 20

// Bucket is the directory.
type Bucket struct{ Dir string }

// Backup describes a backup.
type Backup struct {
	Name     string            `json:"name"`
	Volume   string            `json:"volume"`
	Snapshot string            `json:"snapshot"`
	Size     int64             `json:"size"`
	Created  time.Time         `json:"created"`
	Labels   map[string]string `json:"labels,omitempty"`
	// SnapshotCreated is when the content was as it is here.
	SnapshotCreated time.Time `json:"snapshotCreated"`
	// Full: also blocks that the bucket has are uploaded.
	Full bool `json:"full,omitempty"`
	// Content is how many bytes of blocks are not all zeros, Uploaded how many of them the bucket did not have, and Again how many
	// a full backup has uploaded again.
	Content  int64 `json:"content"`
	Uploaded int64 `json:"uploaded"`
	Again    int64 `json:"again,omitempty"`
	// Blocks are the checksums of blocks that are not all zeros, by offset.
	Blocks map[int64]string `json:"blocks"`
}

// Source is a snapshot's content.
type Source interface {
	NextData(name string, offset, length int64) (int64, error)
	ReadAt(name string, offset, length int64) ([]byte, error)
}

// Target is what a backup is restored to: all zeros before.
type Target interface {
	WriteAt(name string, offset int64, data []byte) error
	Flush() error
}

// ErrNone says that there is no such backup.
var ErrNone = errors.New("no such backup")

// ErrBusy says that a backup of the same volume is under way.
var ErrBusy = errors.New("a backup of the volume is under way")

func (b Bucket) volume(name string) string {
	return filepath.Join(b.Dir, "backupstore", "volumes", filepath.Base(name))
}

func (b Bucket) manifest(volume, name string) string {
	return filepath.Join(b.volume(volume), "backups", "backup_"+filepath.Base(name)+".cfg")
}

func (b Bucket) block(volume, sum string) string {
	return filepath.Join(b.volume(volume), "blocks", sum[:2], sum+".blk")
}

// lock keeps a deletion from removing blocks that a backup under way counts on. It goes when the process does.
func (b Bucket) lock(volume string, how int) (unlock func(), err error) {
	for _, dir := range []string{"backups", "blocks"} {
		if err := os.MkdirAll(filepath.Join(b.volume(volume), dir), 0o755); err != nil {
			return nil, fmt.Errorf("bucket: %w", err)
		}
	}
	file, err := os.OpenFile(filepath.Join(b.volume(volume), "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), how); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, errors.Join(fmt.Errorf("lock volume %s in the bucket: %w", volume, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // which unlocks
}

// Save stores a snapshot's content as the backup that is described. progress is told percents.
func (b Bucket) Save(ctx context.Context, backup Backup, source Source, progress func(int)) (Backup, error) {
	unlock, err := b.lock(backup.Volume, unix.LOCK_SH)
	if err != nil {
		return Backup{}, err
	}
	defer unlock()
	backup.Blocks, backup.Content, backup.Uploaded, backup.Again = map[int64]string{}, 0, 0, 0
	for offset := int64(0); offset < backup.Size; offset += BlockSize {
		if err := ctx.Err(); err != nil {
			return Backup{}, fmt.Errorf("backup %s: %w", backup.Name, err)
		}
		if err := b.saveBlock(&backup, source, offset); err != nil {
			return Backup{}, fmt.Errorf("backup %s: %w", backup.Name, err)
		}
		progress(int(offset * 100 / backup.Size))
	}
	if err := b.write(backup); err != nil {
		return Backup{}, err
	}
	progress(100)
	return backup, nil
}

// Record stores a description without content, which plays a backup of a volume without data.
func (b Bucket) Record(backup Backup) error {
	unlock, err := b.lock(backup.Volume, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	return b.write(backup)
}

func (b Bucket) write(backup Backup) error {
	content, err := json.Marshal(backup)
	if err != nil {
		return fmt.Errorf("backup %s: %w", backup.Name, err)
	}
	if err := put(b.manifest(backup.Volume, backup.Name), content); err != nil {
		return fmt.Errorf("backup %s: %w", backup.Name, err)
	}
	return nil
}

func (b Bucket) saveBlock(backup *Backup, source Source, offset int64) error {
	length := min(BlockSize, backup.Size-offset)
	next, err := source.NextData(backup.Snapshot, offset, length)
	if err != nil || next >= offset+length {
		return err
	}
	data, err := source.ReadAt(backup.Snapshot, offset, length)
	if err != nil || zeros(data) {
		return err
	}
	digest := sha256.Sum256(data)
	sum := hex.EncodeToString(digest[:])
	backup.Blocks[offset] = sum
	backup.Content += length
	path := b.block(backup.Volume, sum)
	if _, err := os.Stat(path); err == nil {
		if !backup.Full {
			return nil
		}
		backup.Again += length
		return put(path, data)
	}
	backup.Uploaded += length
	return put(path, data)
}

func zeros(data []byte) bool {
	for _, one := range data {
		if one != 0 {
			return false
		}
	}
	return true
}

// put makes an object appear whole or not at all.
func put(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), path)
}

// Get returns a backup's description.
func (b Bucket) Get(volume, name string) (Backup, error) {
	content, err := os.ReadFile(b.manifest(volume, name))
	if errors.Is(err, os.ErrNotExist) {
		return Backup{}, fmt.Errorf("backup %s of volume %s: %w", name, volume, ErrNone)
	}
	if err != nil {
		return Backup{}, fmt.Errorf("read backup %s: %w", name, err)
	}
	var backup Backup
	if err := json.Unmarshal(content, &backup); err != nil {
		return Backup{}, fmt.Errorf("read backup %s: %w", name, err)
	}
	return backup, nil
}

// Volumes are the names of the volumes that have ever had a backup here.
func (b Bucket) Volumes() ([]string, error) {
	return names(b.volume("."), "", "")
}

// List returns a volume's backups, oldest first.
func (b Bucket) List(volume string) ([]Backup, error) {
	found, err := names(filepath.Join(b.volume(volume), "backups"), "backup_", ".cfg")
	if err != nil {
		return nil, err
	}
	var all []Backup
	for _, name := range found {
		backup, err := b.Get(volume, name)
		if err != nil {
			return nil, err
		}
		all = append(all, backup)
	}
	slices.SortStableFunc(all, func(a, b Backup) int { return a.Created.Compare(b.Created) })
	return all, nil
}

func names(dir, prefix, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list bucket: %w", err)
	}
	var found []string
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			found = append(found, strings.TrimSuffix(strings.TrimPrefix(name, prefix), suffix))
		}
	}
	return found, nil
}

// Stored is how many bytes of blocks a volume's backups take together.
func Stored(backups []Backup) int64 {
	blocks, recorded := map[string]bool{}, int64(0)
	for _, backup := range backups {
		for sum := range maps.Values(backup.Blocks) {
			blocks[sum] = true
		}
		if len(backup.Blocks) == 0 {
			recorded += backup.Uploaded
		}
	}
	return int64(len(blocks))*BlockSize + recorded
}

// DeleteVolume removes all that the bucket has of a volume.
func (b Bucket) DeleteVolume(volume string) error {
	unlock, err := b.lock(volume, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(b.volume(volume)); err != nil {
		return fmt.Errorf("delete volume %s in the bucket: %w", volume, err)
	}
	return nil
}

// Delete removes a backup, then the blocks that no other one of the volume has. One that is not there is gone already. While one
// is under way nothing happens: ErrBusy.
func (b Bucket) Delete(volume, name string) error {
	unlock, err := b.lock(volume, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(b.manifest(volume, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete backup %s: %w", name, err)
	}
	left, err := b.List(volume)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, backup := range left {
		for sum := range maps.Values(backup.Blocks) {
			used[sum+".blk"] = true
		}
	}
	blocks, err := filepath.Glob(filepath.Join(b.volume(volume), "blocks", "*", "*"))
	if err != nil {
		return fmt.Errorf("delete backup %s: %w", name, err)
	}
	for _, path := range blocks {
		if !used[filepath.Base(path)] {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("delete backup %s: %w", name, err)
			}
		}
	}
	return nil
}

// Restore writes a backup's content to the target.
func (b Bucket) Restore(ctx context.Context, volume, name string, target Target, progress func(int)) error {
	backup, err := b.Get(volume, name)
	if err != nil {
		return err
	}
	for at, offset := range slices.Sorted(maps.Keys(backup.Blocks)) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		sum := backup.Blocks[offset]
		data, err := os.ReadFile(b.block(volume, sum))
		if err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		if digest := sha256.Sum256(data); hex.EncodeToString(digest[:]) != sum {
			return fmt.Errorf("restore %s: block %s is damaged", name, sum)
		}
		if err := target.WriteAt("", offset, data); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		progress(at * 100 / len(backup.Blocks))
	}
	if err := target.Flush(); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	progress(100)
	return nil
}
