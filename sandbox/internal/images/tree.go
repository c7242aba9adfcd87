package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tree is the content of a layer by path, without the leading slash.
type tree map[string]entry

// entry is a directory, a link, or else a file.
type entry struct {
	mode    fs.FileMode // Permissions, fs.ModeDir and fs.ModeSticky.
	owner   int         // User and group.
	content []byte
	link    string
}

func (t tree) dir(name string, mode fs.FileMode, owner int) {
	t[name] = entry{mode: mode | fs.ModeDir, owner: owner}
}

func (t tree) file(name string, mode fs.FileMode, owner int, content []byte) {
	t[name] = entry{mode: mode, owner: owner, content: content}
}

func (t tree) link(name, target string) {
	t[name] = entry{mode: 0o777, link: target}
}

// program puts a program of this machine into the tree.
func (t tree) program(name, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the program for /%s: %w", name, err)
	}
	t.file(name, 0o755, 0, content)
	return nil
}

// add copies a directory of this machine, with one mode for all directories, one for all files, and one owner.
func (t tree) add(name, dir string, dirMode, fileMode fs.FileMode, owner int) error {
	return filepath.WalkDir(dir, func(file string, found fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		target := path.Join(name, filepath.ToSlash(relative))
		if found.IsDir() {
			t.dir(target, dirMode, owner)
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		t.file(target, fileMode, owner, content)
		return nil
	})
}

// layer packs the tree. The same tree gives the same bytes: sorted, and every file is as old as the epoch.
func (t tree) layer() (v1.Layer, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		found := t[name]
		header := &tar.Header{
			Name: name, Uid: found.owner, Gid: found.owner, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
			Mode: int64(found.mode.Perm()), Typeflag: tar.TypeReg, Size: int64(len(found.content)),
		}
		if found.mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		switch {
		case found.mode.IsDir():
			header.Typeflag, header.Name = tar.TypeDir, name+"/"
		case found.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, found.link
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack /%s: %w", name, err)
		}
		if _, err := writer.Write(found.content); err != nil {
			return nil, fmt.Errorf("pack /%s: %w", name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("pack a layer: %w", err)
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("compress a layer: %w", err)
	}
	return layer, nil
}
