package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DetachDisks detaches the loop devices whose files lie in the directory: they are the machine's, and stay when the node that
// made them is killed.
func DetachDisks(dir string) error {
	entries, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return fmt.Errorf("list loop devices: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		content, err := os.ReadFile(entry)
		if err != nil {
			continue // detached meanwhile
		}
		if file := strings.TrimSpace(string(content)); strings.HasPrefix(file, dir+"/") {
			errs = append(errs, detach(filepath.Base(filepath.Dir(filepath.Dir(entry)))))
		}
	}
	return errors.Join(errs...)
}

func detach(device string) error {
	file, err := os.OpenFile("/dev/"+device, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", device, err)
	}
	err = unix.IoctlSetInt(int(file.Fd()), unix.LOOP_CLR_FD, 0)
	if errors.Is(err, unix.ENXIO) {
		err = nil // nothing is attached any more
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("detach %s: %w", device, err)
	}
	return nil
}
