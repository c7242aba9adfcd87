package lab

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/instances"
)

// longhornDisk is where a node's own directory has what Longhorn keeps on it.
const longhornDisk = "disk/var/lib/longhorn"

// DetachDisks detaches the loop devices of volumes that a killed node has left: they are the machine's. The directory is a node's,
// or that of a cluster with its nodes.
func DetachDisks(dir string) error {
	nodes, err := filepath.Glob(filepath.Join(dir, "nodes", "*", longhornDisk))
	if err != nil {
		return fmt.Errorf("list the nodes' disks: %w", err)
	}
	var errs []error
	for _, disk := range slices.Concat(nodes, []string{filepath.Join(dir, longhornDisk)}) {
		owner, err := instances.ReadOwner(disk)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if owner != "" {
			errs = append(errs, blockdev.CleanUp(owner, ""))
		}
	}
	return errors.Join(errs...)
}
