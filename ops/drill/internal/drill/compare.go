package drill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"ha-iris/internal/blocks"
	"ha-iris/ops/drill/internal/hold"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/preflight"
	"ha-iris/ops/drill/internal/report"
)

// comparing is what the Lease says while the database is stopped for a comparison: it is to be started again.
const comparing = "compare-replicas"

// stopping is how long the database and its volume may take to be stopped: a grace period and a detachment.
const stopping = 5 * time.Minute

// compare stops the database, because while it writes no comparison can be made, compares the replicas' files, and starts it again.
// An error that says that they differ ends the experiment: what happens on such a volume says nothing.
func (d *Drill) compare(ctx context.Context, run *report.Run) error {
	world, err := d.look(ctx)
	if err != nil {
		return err
	}
	if err := d.hold.Note(ctx, &hold.Record{Experiment: comparing, Namespace: d.Config.Namespace}); err != nil {
		return err
	}
	d.Host.Say("stopping the database to compare the replicas")
	differ, failed := d.stopAndCompare(ctx, world)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing) // Also after Ctrl-C.
	defer cancel()
	err = d.scale(last, 1)
	if err == nil {
		err = d.hold.Note(last, nil)
	}
	if err != nil {
		d.Report.Uncleaned = append(d.Report.Uncleaned, fmt.Sprintf("the database is stopped: %v", err))
	}
	if failed != nil {
		return errors.Join(fmt.Errorf("compare the replicas: %w", failed), err)
	}
	run.Differing = &differ
	if differ > 0 {
		run.Broken = append(run.Broken, fmt.Sprintf("%d blocks of the replicas differ", differ))
		return errors.Join(errors.New("the replicas differ"), err)
	}
	return errors.Join(err, d.becomesFit(ctx))
}

func (d *Drill) stopAndCompare(ctx context.Context, world *preflight.World) (int, error) {
	if err := d.scale(ctx, 0); err != nil {
		return 0, err
	}
	var volume *preflight.Volume
	err := until(ctx, stopping, "the volume is not detached", func() (bool, string) {
		var err error
		if volume, err = preflight.ReadVolume(ctx, d.Cluster, world.PersistentVolume); err != nil {
			return false, err.Error()
		}
		return volume.State == "detached", "it is " + volume.State
	})
	if err != nil {
		return 0, err
	}
	files, err := replicaFiles(d.Config.Disks, volume)
	if err != nil {
		return 0, err
	}
	return blocks.Differing(files)
}

// replicaFiles are the files of all good replicas, on the disks of the sandbox's nodes (sandbox/internal/datapath/replica).
func replicaFiles(nodes string, volume *preflight.Volume) ([]string, error) {
	var files []string
	for _, replica := range volume.Replicas {
		if !replica.Good {
			continue
		}
		found, err := filepath.Glob(filepath.Join(nodes, replica.Node, "disk", "var", "lib", "longhorn", "replicas", replica.Name, "volume.img"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("the replica %s on node %s has %d files there, want one", replica.Name, replica.Node, len(found))
		}
		files = append(files, found...)
	}
	if len(files) < 2 {
		return nil, fmt.Errorf("%d good replicas, want at least two", len(files))
	}
	return files, nil
}

func (d *Drill) scale(ctx context.Context, replicas int) error {
	return d.Cluster.Patch(ctx, kube.Deployments, d.Config.Namespace, preflight.DeploymentName,
		map[string]any{"spec": map[string]any{"replicas": replicas}})
}
