// Package blocks compares large sparse files block by block.
package blocks

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
)

// Size is a block's, in bytes: that of the filesystem on the volumes (ext4's default).
const Size = 4096

// Differing counts the blocks that are not the same in all files. A hole is the same as zeros. The error names the file.
func Differing(files []string) (int, error) {
	contents := make([]map[int64][sha256.Size]byte, len(files))
	offsets := map[int64]bool{}
	for i, name := range files {
		var err error
		if contents[i], err = read(name); err != nil {
			return 0, fmt.Errorf("compare %s: %w", name, err)
		}
		for offset := range maps.Keys(contents[i]) {
			offsets[offset] = true
		}
	}
	differ := 0
	for offset := range offsets {
		for _, other := range contents[1:] {
			if other[offset] != contents[0][offset] {
				differ++
				break
			}
		}
	}
	return differ, nil
}

// read makes the checksums of a file's blocks that are not empty.
func read(name string) (found map[int64][sha256.Size]byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	found = map[int64][sha256.Size]byte{}
	empty, block := make([]byte, Size), make([]byte, Size)
	for offset := int64(0); ; offset += Size {
		next, err := nextData(file, offset)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		offset = next - next%Size
		n, err := file.ReadAt(block, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		clear(block[n:]) // The last block may be short.
		if !bytes.Equal(block, empty) {
			found[offset] = sha256.Sum256(block)
		}
	}
}
