package irisstandin

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// sizeOf is where the new part of a file begins; one that is not there yet is read from its beginning.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// follow copies what is added to a file, until the context ends, and then what is left.
func follow(ctx context.Context, path string, offset int64, out io.Writer) {
	for {
		err := pause(ctx, 100*time.Millisecond)
		offset = copyFrom(path, offset, out)
		if err != nil {
			return
		}
	}
}

func copyFrom(path string, offset int64, out io.Writer) int64 {
	file, err := os.Open(path)
	if err != nil {
		return offset
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return offset
	}
	n, err := io.Copy(out, file)
	if errors.Is(err, os.ErrClosed) {
		return offset
	}
	return offset + n
}
