package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ha-iris/sandbox/internal/progress"
	"ha-iris/sandbox/internal/tools"
)

// snapshotKinds is the module that has the definitions of the kinds, and kindsOfIt where in it.
const (
	snapshotKinds = "github.com/kubernetes-csi/external-snapshotter/client/v8"
	kindsOfIt     = "config/crd"
)

// buildingEvery is how often a running build says that it still runs.
const buildingEvery = 20 * time.Second

// prepareSnapshots builds the program, unless it is current, and brings the definitions of the kinds into the cluster's directory. Where
// both are there already, a checkout that cannot be built is no reason to start nothing.
func (c *Cluster) prepareSnapshots(ctx context.Context, s state) error {
	if !s.Snapshots {
		return nil
	}
	err := c.buildSnapshots(ctx)
	if err == nil {
		err = c.fetchSnapshotKinds(ctx)
	}
	if err == nil || ctx.Err() != nil || !isThere(c.layout.Tool(snapshots)) || !isThere(c.path("kinds")) {
		return err
	}
	c.say("going on with the snapshot-controller that is there: %v", err)
	return nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (c *Cluster) buildSnapshots(ctx context.Context) error {
	if !isThere(c.layout.Tool(snapshots)) {
		c.say("building the snapshot-controller")
	}
	defer progress.Every(buildingEvery, func(soFar time.Duration) { c.say("  still building the snapshot-controller, %s so far", soFar) })()
	return tools.CompileHere(ctx, c.layout.Module(), c.layout.Bin(), "./cmd/"+snapshots, func() {
		c.say("another command builds the snapshot-controller: waiting for it")
	})
}

func (c *Cluster) fetchSnapshotKinds(ctx context.Context) error {
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
