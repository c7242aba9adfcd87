package blocks

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// nextData is where the next data begins that is no hole; io.EOF: nowhere.
func nextData(file *os.File, offset int64) (int64, error) {
	next, err := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA) //nolint:gosec // A descriptor is small.
	if errors.Is(err, unix.ENXIO) {
		return 0, io.EOF
	}
	return next, err
}
