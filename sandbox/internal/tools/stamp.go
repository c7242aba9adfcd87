package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stamp says which decision a tool's file is the outcome of. Comparing it replaces a "go build" that does nothing,
// which takes seconds for a module of Kubernetes' size.
type stamp struct {
	// Key is the hash of everything that the decision depended on: another for what was downloaded than for what was built.
	Key     string `json:"key"`
	Version string `json:"version"`
	Source  Source `json:"source"`
	// Size of the file, to notice one that was replaced behind our back.
	Size int64 `json:"size"`
}

// key hashes what a build depends on: the pins, our own source, the flags and the toolchain.
func (t tool) key(moduleDir, version, toolchain string) (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, t.name, t.pkg, toolchain)
	if t.helper != nil {
		_, _ = fmt.Fprintln(hash, t.helper.name, t.helper.pkg)
	}
	_, _ = fmt.Fprintln(hash, t.linkFlags(version))
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(moduleDir, name))
		if errors.Is(err, fs.ErrNotExist) && name == "main.go" {
			continue // most tools are built from their own main
		}
		if err != nil {
			return "", fmt.Errorf("read the pins of %s: %w", t.name, err)
		}
		_, _ = fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// current returns the stamp of an existing file that fits.
func current(stampPath, file string, fits func(stamp) bool) (stamp, bool) {
	var s stamp
	content, err := os.ReadFile(stampPath)
	if err != nil || json.Unmarshal(content, &s) != nil || !fits(s) {
		return s, false
	}
	info, err := os.Stat(file)
	return s, err == nil && info.Size() == s.Size && info.Mode().Perm()&0o100 != 0
}

func writeStamp(path, key string, result Result) error {
	info, err := os.Stat(result.Path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", result.Path, err)
	}
	content, err := json.Marshal(stamp{Key: key, Version: result.Version, Source: result.Source, Size: info.Size()})
	if err != nil {
		return fmt.Errorf("encode stamp: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the directory of stamps: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	return nil
}
