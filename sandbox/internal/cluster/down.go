package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// Down stops what Up started, waits until it is gone, and reports whether anything ran. With purge it also deletes the
// cluster's directory: objects, keys and logs.
func (c *Cluster) Down(ctx context.Context, purge bool) (wasRunning bool, err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, name := range allComponentNames() {
		found, err := c.process(name)
		if err != nil {
			return false, err
		}
		wasRunning = wasRunning || found.live == alive
	}
	if err := c.stopAll(ctx); err != nil {
		return wasRunning, err
	}
	if err := c.clearLab(purge); err != nil {
		return wasRunning, err
	}
	if purge {
		// The empty lock file beside the directory stays: deleting a file that others may wait on breaks the lock.
		if err := os.RemoveAll(c.Dir); err != nil {
			return wasRunning, fmt.Errorf("delete the cluster's directory: %w", err)
		}
	}
	return wasRunning, nil
}

// stopAll stops the components in the reverse of their starting order: a server goes after its clients.
func (c *Cluster) stopAll(ctx context.Context) error {
	if err := c.stopMachines(ctx); err != nil {
		return err
	}
	for _, name := range slices.Backward(allComponentNames()) {
		if err := c.stop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
