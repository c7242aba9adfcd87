package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// inputsKey hashes what the images are made from: the module's sources, its pins, the chart's version, the Go that compiles and
// busybox. That is more than the programs need, but is read in milliseconds, and a build that changes nothing gives the same
// images.
func inputsKey(o options, toolchain, busybox string) (string, error) {
	module, sum := o.module, sha256.New()
	_, _ = fmt.Fprintln(sum, toolchain)
	files := []string{busybox}
	for _, name := range []string{"go.mod", "go.sum", filepath.Join("charts", "longhorn", "Chart.yaml")} {
		files = append(files, filepath.Join(module, name))
	}
	dirs := []string{filepath.Join(module, "cmd"), filepath.Join(module, "internal")}
	if o.agent != "" {
		dirs = append(dirs, o.agent)
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, found fs.DirEntry, err error) error {
			if err == nil && found.Type().IsRegular() && !strings.HasSuffix(path, "_test.go") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return "", fmt.Errorf("list the sources of the images: %w", err)
		}
	}
	for _, file := range files {
		if err := hashFile(sum, module, file); err != nil {
			return "", fmt.Errorf("read a source of the images: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hashFile adds a file by its name within the module, so that two checkouts agree.
func hashFile(sum hash.Hash, module, path string) error {
	name, err := filepath.Rel(module, path)
	if err != nil || strings.HasPrefix(name, "..") {
		name = filepath.Base(path)
	}
	content, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(sum, filepath.ToSlash(name), info.Size())
	_, err = io.Copy(sum, content)
	return err
}
