package irisstandin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const stateFile = "standin-state.json" // The stand-in's own; IRIS keeps the like in its WIJ and databases.

// state is what a start must know of the run before.
type state struct {
	Version string `json:"version"`
	Host    string `json:"host"`
	Running bool   `json:"running"` // Still set: the run did not end in order.
	// CrashedAt is when a crash was found last, for the health that decays (facts 2.9).
	CrashedAt int64 `json:"crashedAt,omitempty"`
}

func (s Settings) readState() (state, bool, error) {
	var found state
	content, err := os.ReadFile(s.mgr(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("read the instance's state: %w", err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, false, fmt.Errorf("read %s: %w", s.mgr(stateFile), err)
	}
	return found, true, nil
}

func (s Settings) writeState(now state) error {
	content, err := json.Marshal(now)
	if err == nil {
		err = replaceSynced(s.mgr(stateFile), content)
	}
	if err != nil {
		return fmt.Errorf("write the instance's state: %w", err)
	}
	return nil
}

// checkUpgrade refuses what the vendor refuses (facts 2.5): an upgrade after an unclean stop, and a downgrade.
func checkUpgrade(before state, version string) error {
	order := compareVersions(before.Version, version)
	switch {
	case order < 0 && before.Running:
		return fmt.Errorf("cannot upgrade from %s to %s: the instance was not shut down cleanly; start it with %s, stop it, and try again",
			before.Version, version, before.Version)
	case order > 0:
		return fmt.Errorf("the data directory was used by %s, which is newer than %s: a downgrade is not supported", before.Version, version)
	default:
		return nil
	}
}

// guard is the start-up guard: an advisory lock on mgr/ilock, which the kernel drops with the process (facts 2.6). On
// another node nothing holds it, as with IRIS.
type guard struct{ file *os.File }

func (s Settings) takeGuard() (*guard, error) {
	file, err := os.OpenFile(s.mgr("ilock"), os.O_CREATE|os.O_RDWR, 0o664)
	if err != nil {
		return nil, fmt.Errorf("ERROR #5001: Cannot create target: %s", s.mgr("ilock"))
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		node, _ := os.ReadFile(s.mgr("iris.ids"))
		return nil, errors.Join(fmt.Errorf("the instance is running on node %s", node), file.Close())
	}
	return &guard{file}, nil
}

func (g *guard) release() error { return g.file.Close() }

// lockDatabase writes iris.lck and says whether the database may be written. A lock file of another directory, as in a
// copy, leaves it read-only; that of a crash of the same directory does not (facts 2.6, 6 "Restore").
func lockDatabase(dir, instance string) (writable bool, err error) {
	path := filepath.Join(dir, "iris.lck")
	mine := instance + ":" + dir
	content, err := os.ReadFile(path)
	switch {
	case err == nil && string(content) != mine:
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	if err := writeSynced(path, []byte(mine)); err != nil {
		return false, fmt.Errorf("lock the database in %s: %w", dir, err)
	}
	return true, nil
}

func unlockDatabase(dir string) error {
	err := os.Remove(filepath.Join(dir, "iris.lck"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
