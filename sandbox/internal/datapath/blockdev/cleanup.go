//go:build linux

package blockdev

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CleanUp removes what a killed process of the same owner has left: loop devices, FUSE mounts and device nodes. What others own
// stays, whatever state it is in. deviceDir is empty if the nodes are gone with their node. No device of the calling process may
// exist.
func CleanUp(owner, deviceDir string) error {
	mine := Prefix + owner + "."
	// The mounts first: a connection that still lives would be waited for.
	errs := []error{unmountOwn(mine)}
	loops, err := ownLoops(mine)
	errs = append(errs, err)
	dir := deviceDir
	if dir == "" {
		dir = os.TempDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for number, name := range loops {
		errs = append(errs, detach(dir, number, name))
	}
	if deviceDir != "" {
		errs = append(errs, removeNodes(deviceDir))
	}
	return errors.Join(errs...)
}

// Loops returns the loop devices of an owner, by number, with their file's name. An empty owner means everybody's that this
// package has made.
func Loops(owner string) (map[int]string, error) {
	if owner == "" {
		return ownLoops(Prefix)
	}
	return ownLoops(Prefix + owner + ".")
}

func ownLoops(prefix string) (map[int]string, error) {
	found := map[int]string{}
	devices, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return nil, fmt.Errorf("list loop devices: %w", err)
	}
	for _, device := range devices {
		number, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(device), "loop"))
		if err != nil {
			continue
		}
		path, err := backingFile(number)
		if err != nil {
			continue // free
		}
		if name := filepath.Base(path); strings.HasPrefix(name, prefix) {
			found[number] = name
		}
	}
	return found, nil
}

func backingFile(number int) (string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", number))
	// The kernel adds this once somebody has looked for the file after its server's end.
	return strings.TrimSuffix(strings.TrimSpace(string(content)), " (deleted)"), err
}

func unmountOwn(prefix string) error {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	defer func() { _ = mounts.Close() }() // read only
	var errs []error
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		for at, field := range fields {
			if field == "-" && at+2 < len(fields) && at > 4 && fields[at+1] == "fuse."+fuseType && strings.HasPrefix(fields[at+2], prefix) {
				errs = append(errs, abort(fields[4]))
			}
		}
	}
	return errors.Join(errs...)
}

func removeNodes(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list device nodes: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		var found unix.Stat_t
		path := filepath.Join(dir, entry.Name())
		if unix.Lstat(path, &found) == nil && found.Mode&unix.S_IFMT == unix.S_IFBLK && unix.Major(found.Rdev) == loopMajor {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
