package tools

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// unpackLimit bounds what an archive unpacks to. Pulumi's, with all its language hosts, has some 500 MB.
const unpackLimit = 4 << 30

// unpack writes the release's program from its downloaded file to target, and nothing else of it: no name from an archive
// becomes a path.
func (r release) unpack(file, target string) (err error) {
	source, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the download: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	switch {
	case r.entry == "":
		return writeProgram(source, target, fileLimit)
	case strings.HasSuffix(r.url, ".zip"):
		return r.unzip(source, target)
	default:
		return r.untar(source, target)
	}
}

func (r release) untar(source io.Reader, target string) error {
	plain, err := gzip.NewReader(source)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", path.Base(r.url), err)
	}
	archive := tar.NewReader(io.LimitReader(plain, unpackLimit))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return r.missing()
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", path.Base(r.url), err)
		}
		if header.Typeflag == tar.TypeReg && strings.TrimPrefix(header.Name, "./") == r.entry {
			return writeProgram(archive, target, fileLimit)
		}
	}
}

func (r release) unzip(source *os.File, target string) (err error) {
	info, err := source.Stat()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", path.Base(r.url), err)
	}
	archive, err := zip.NewReader(source, info.Size())
	if err != nil {
		return fmt.Errorf("unpack %s: %w", path.Base(r.url), err)
	}
	for _, entry := range archive.File {
		if entry.Name != r.entry || !entry.Mode().IsRegular() {
			continue
		}
		program, err := entry.Open()
		if err != nil {
			return fmt.Errorf("unpack %s: %w", path.Base(r.url), err)
		}
		return errors.Join(writeProgram(program, target, fileLimit), program.Close())
	}
	return r.missing()
}

func (r release) missing() error {
	return fmt.Errorf("%s has no file %s", path.Base(r.url), r.entry)
}

// writeProgram writes an executable file of at most limit bytes.
func writeProgram(from io.Reader, target string, limit int64) error {
	if err := os.RemoveAll(target); err != nil { // of a run that was killed
		return fmt.Errorf("make room for %s: %w", path.Base(target), err)
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("make room for %s: %w", path.Base(target), err)
	}
	written, err := io.Copy(file, io.LimitReader(from, limit+1))
	if err == nil && written > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path.Base(target), err)
	}
	return nil
}
