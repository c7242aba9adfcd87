package fencer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ha-iris/agent/internal/fence"
	"ha-iris/agent/internal/processes"
)

// stateFile is the record's name in the directory.
const stateFile = "state.json"

// recordWait bounds what a decision waits for its record: the directory lies on the node's disk, and a disk that hangs must not
// keep the database from being stopped. Written without fsync: what has to be survived is the end of this process, and the boot's
// identity tells the end of the node.
const recordWait = 200 * time.Millisecond

// record is what outlives this process, so that another one goes on.
type record struct {
	// BootID is the boot that the times count from.
	BootID string `json:"bootID"`
	// Admitted says that the database was let start; without it there is no machine.
	Admitted bool `json:"admitted"`
	// Doubtful says that only the API server's word may let it start.
	Doubtful bool         `json:"doubtful"`
	Machine  fence.Memory `json:"machine"`
	// Processes are what the pause and the end left.
	Processes processes.Memory `json:"processes"`
	// Peers are the guards' addresses: without the API server there is nobody else to learn them from.
	Peers []string `json:"peers"`
}

// load reads the record, and says whether there was one.
func load(directory string) (record, bool, error) {
	content, err := os.ReadFile(filepath.Join(directory, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, true, fmt.Errorf("read the state: %w", err)
	}
	var found record
	if err := json.Unmarshal(content, &found); err != nil {
		return record{}, true, fmt.Errorf("read the state: %w", err)
	}
	switch found.Machine.State {
	case fence.Running, fence.Paused, fence.Ended:
		return found, true, nil
	default:
		if !found.Admitted {
			return found, true, nil
		}
		return record{}, true, fmt.Errorf("read the state: got %q", found.Machine.State)
	}
}

// store replaces the file at once: a reader sees the old or the new one.
func store(path string, content []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // Nobody reads it.
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// write is a record on its way, and whom to tell.
type write struct {
	record record
	done   chan error
}

// keeper writes records, one after the other, in a goroutine of its own, so that nobody has to wait for the disk.
type keeper struct {
	directory string
	wait      time.Duration
	store     func(path string, content []byte, mode os.FileMode) error
	next      chan write
	stopped   chan struct{}
}

// newKeeper returns a keeper, which has to be stopped.
func newKeeper(directory string) *keeper {
	k := &keeper{directory: directory, wait: recordWait, store: store, next: make(chan write, 1), stopped: make(chan struct{})}
	go k.run()
	return k
}

// stop ends the keeper and waits for what is being written, but not for long.
func (k *keeper) stop() {
	close(k.next)
	select {
	case <-k.stopped:
	case <-time.After(k.wait):
	}
}

func (k *keeper) run() {
	defer close(k.stopped)
	for one := range k.next {
		content, err := json.Marshal(one.record)
		if err == nil {
			err = k.store(filepath.Join(k.directory, stateFile), content, 0o600)
		}
		one.done <- err
	}
}

// keep writes a record and waits for it, but not for long. The newest record replaces one that has not been begun. It is called
// from one goroutine only.
func (k *keeper) keep(one record) error {
	done := k.put(one)
	timer := time.NewTimer(k.wait)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("write the state: not done after %v", k.wait)
	}
}

// put hands a record over and waits for nothing.
func (k *keeper) put(one record) <-chan error {
	done := make(chan error, 1)
	select {
	case <-k.next:
	default:
	}
	k.next <- write{record: one, done: done}
	return done
}
