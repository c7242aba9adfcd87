package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ha-iris/sandbox/internal/tools"
)

// snapshotKinds is the module that has the definitions of the kinds, and kindsOfIt where in it.
const (
	snapshotKinds = "github.com/kubernetes-csi/external-snapshotter/client/v8"
	kindsOfIt     = "config/crd"
)

// prepareSnapshots builds the program, unless it is current, and brings the definitions of the kinds into the cluster's directory.
func (c *Cluster) prepareSnapshots(ctx context.Context, s state) error {
	if !s.Snapshots {
		return nil
	}
	if _, err := os.Stat(c.layout.Tool(snapshots)); err != nil {
		c.say("building the snapshot-controller")
	}
	if err := tools.CompileHere(ctx, c.layout.Module(), c.layout.Bin(), "./cmd/"+snapshots); err != nil {
		return err
	}
	source, err := tools.ModuleDir(ctx, c.layout.Module(), snapshotKinds)
	if err != nil {
		return err
	}
	building := c.path("kinds.new")
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("make room for the kinds of VolumeSnapshots: %w", err)
	}
	if err := os.CopyFS(building, os.DirFS(filepath.Join(source, filepath.FromSlash(kindsOfIt)))); err != nil {
		return fmt.Errorf("copy the kinds of VolumeSnapshots: %w", err)
	}
	if err := os.RemoveAll(c.path("kinds")); err != nil {
		return fmt.Errorf("remove old kinds of VolumeSnapshots: %w", err)
	}
	if err := os.Rename(building, c.path("kinds")); err != nil {
		return fmt.Errorf("put the kinds of VolumeSnapshots in place: %w", err)
	}
	return nil
}
