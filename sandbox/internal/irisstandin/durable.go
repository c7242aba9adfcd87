package irisstandin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// incompleteFile marks a copy that was interrupted. The mark is in the facts (2.4), its name is not.
const incompleteFile = ".standin-incomplete"

// Magic numbers of statfs(2).
const (
	magicNFS  = 0x6969
	magicCIFS = 0xff534d42
	magicFUSE = 0x65735546
)

// prepareDurable makes the durable directory ready, as iris-main does before it starts IRIS (facts 2.4).
func (s Settings) prepareDurable(ctx context.Context, log *logger) error {
	if s.DataDir == "" {
		return nil
	}
	if err := s.checkDurable(log); err != nil {
		return err
	}
	_, err := os.Stat(s.mgr())
	if err == nil {
		return s.checkWritable() // An existing mgr/ is reused (facts 2.4).
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ERROR #5001: Cannot create target: %s", s.DataDir)
	}
	return s.copyInstallation(ctx, log)
}

func (s Settings) checkDurable(log *logger) error {
	// A variable without a mount: the message is one that users report (facts 2.4).
	parent := filepath.Dir(s.DataDir)
	if _, err := os.Stat(parent); err != nil {
		return fmt.Errorf("durable folder does not exist: %s", s.DataDir)
	}
	if kind := network(parent); kind != "" {
		// NFS is not supported, and there is a warning on cifs and fuse (facts 2.4).
		log.warn("ISC_DATA_DIRECTORY=%s is on a %s file system, which is not supported or not recommended", s.DataDir, kind)
	}
	if _, err := os.Lstat(filepath.Join(s.DataDir, incompleteFile)); err == nil {
		// An interrupted copy is deleted and made again (facts 2.4).
		log.warn("the copy in %s is incomplete: deleting it", s.DataDir)
		if err := s.deleteIncomplete(); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("ERROR #5001: Cannot create target: %s", s.DataDir)
	}
	for _, entry := range entries {
		if entry.Name() == "mgr" {
			return nil
		}
	}
	if len(entries) > 0 {
		// lost+found of a volume's root is such an entry (facts 2.4).
		return fmt.Errorf("ISC_DATA_DIRECTORY=%s is not empty (%s) and has no mgr directory: not a durable directory",
			s.DataDir, entries[0].Name())
	}
	return nil
}

func (s Settings) deleteIncomplete() error {
	entries, err := os.ReadDir(s.DataDir)
	if err != nil {
		return fmt.Errorf("read the incomplete copy: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == incompleteFile {
			continue // Last, so that an interrupted deletion is still marked.
		}
		if err := os.RemoveAll(filepath.Join(s.DataDir, entry.Name())); err != nil {
			return fmt.Errorf("delete the incomplete copy: %w", err)
		}
	}
	return os.Remove(filepath.Join(s.DataDir, incompleteFile))
}

// checkWritable finds a directory that belongs to somebody else before anything is changed in it.
func (s Settings) checkWritable() error {
	for _, path := range []string{s.DataDir, s.mgr()} {
		if err := syscall.Access(path, 2); err != nil { // W_OK.
			return fmt.Errorf("ERROR #5001: Cannot create target: %s", path)
		}
	}
	return nil
}

func network(path string) string {
	var stat syscall.Statfs_t
	if syscall.Statfs(path, &stat) != nil {
		return ""
	}
	switch uint32(stat.Type) { //nolint:gosec // The numbers are unsigned, the field is not.
	case magicNFS:
		return "NFS"
	case magicCIFS:
		return "cifs"
	case magicFUSE:
		return "fuse"
	default:
		return ""
	}
}

// copyInstallation is the first start's copy (facts 2.4): iris.cpf, csp, httpd and mgr.
func (s Settings) copyInstallation(ctx context.Context, log *logger) error {
	if err := os.MkdirAll(s.DataDir, 0o775); err != nil {
		return fmt.Errorf("ERROR #5001: Cannot create target: %s", s.DataDir)
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(s.DataDir, &stat); err == nil && int64(stat.Bavail*uint64(stat.Bsize)) < s.MinFree {
		return fmt.Errorf("not enough space in %s: %d MB are needed", s.DataDir, s.MinFree>>20)
	}
	mark := filepath.Join(s.DataDir, incompleteFile)
	if err := writeSynced(mark, nil); err != nil {
		return fmt.Errorf("ERROR #5001: Cannot create target: %s", s.DataDir)
	}
	log.info("copying the instance's data to %s", s.DataDir)
	if err := pause(ctx, s.FirstStart); err != nil {
		return err
	}
	for _, name := range []string{"iris.cpf", "csp", "httpd", "mgr"} {
		if err := copyTree(filepath.Join(s.InstallDir, name), filepath.Join(s.DataDir, name)); err != nil {
			return fmt.Errorf("copy the instance's data: %w", err)
		}
	}
	if err := syncTree(s.DataDir); err != nil { // The mark must not go before what it marks.
		return fmt.Errorf("copy the instance's data: %w", err)
	}
	return os.Remove(mark)
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o775)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeSynced(target, content)
	})
}

// syncTree makes the names durable; the contents are.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncDirectory(path)
	})
}

// writeSynced writes a file in place and waits for the disk.
func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o664)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// replaceSynced writes a file so that a crash leaves the old or the new one.
func replaceSynced(path string, content []byte) error {
	if err := writeSynced(path+".new", content); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func pause(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}
