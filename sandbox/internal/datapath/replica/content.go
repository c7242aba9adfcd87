//go:build linux

package replica

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ReadAt reads the volume's content, or with a name that of a snapshot.
func (f *Files) ReadAt(name string, offset, length int64) ([]byte, error) {
	file, size, err := f.file(name)
	if err == nil {
		err = within(offset, length, size)
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, offset); err != nil {
		return nil, fmt.Errorf("read replica: %w", err)
	}
	return data, nil
}

// WriteAt writes the volume's content. A snapshot is written only while the replica is rebuilt.
func (f *Files) WriteAt(name string, offset int64, data []byte) error {
	file, err := f.writable(name, offset, int64(len(data)))
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(data, offset); err != nil {
		return fmt.Errorf("write replica: %w", err)
	}
	return nil
}

// Zero makes a hole.
func (f *Files) Zero(name string, offset, length int64) error {
	file, err := f.writable(name, offset, length)
	if err != nil || length == 0 {
		return err
	}
	err = onDescriptor(file, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
	})
	if err != nil {
		return fmt.Errorf("make a hole in replica: %w", err)
	}
	return nil
}

// onDescriptor does something with a file's descriptor, which stays this file's until it is done, also when somebody closes the file
// meanwhile. Otherwise the number could be another replica's by then.
func onDescriptor(file *os.File, do func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

func (f *Files) writable(name string, offset, length int64) (*os.File, error) {
	if name != "" && !f.Meta().Rebuilding {
		return nil, fmt.Errorf("snapshot %s does not change", name)
	}
	file, size, err := f.file(name)
	if err != nil {
		return nil, err
	}
	return file, within(offset, length, size)
}

// Flush returns once all that was written is on the disk.
func (f *Files) Flush() error {
	file, _, err := f.file("")
	if err != nil {
		return err
	}
	if err := onDescriptor(file, unix.Fdatasync); err != nil {
		return fmt.Errorf("flush replica: %w", err)
	}
	return nil
}

// NextData returns where the next data begins from offset on, or the end of the range if there is none.
func (f *Files) NextData(name string, offset, length int64) (int64, error) {
	file, size, err := f.file(name)
	if err != nil {
		return 0, err
	}
	end := min(offset+length, size)
	var next int64
	err = onDescriptor(file, func(fd int) (err error) {
		next, err = unix.Seek(fd, offset, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO):
		return end, nil
	case err != nil:
		return 0, fmt.Errorf("look for data in replica: %w", err)
	}
	return min(next, end), nil
}

// Hash returns the SHA-256 of a range.
func (f *Files) Hash(name string, offset, length int64) ([]byte, error) {
	data, err := f.ReadAt(name, offset, length)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return sum[:], nil
}
