//go:build linux

package instances

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/replica"
)

// task runs something in the background. One of the same identity that runs, or has ended well, is not run again.
func (m *Manager) task(id string, work func(ctx context.Context, progress func(int)) error) imclient.Task {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.tasks[id]; known != nil && known.State != imclient.Failed {
		return *known
	}
	task := &imclient.Task{ID: id, State: imclient.Running}
	m.tasks[id] = task
	m.working.Go(func() {
		err := work(m.ctx, func(percent int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			task.Progress = percent
		})
		m.mu.Lock()
		defer m.mu.Unlock()
		task.State, task.Progress = imclient.Complete, 100
		if err != nil {
			task.State, task.Error = imclient.Failed, err.Error()
		}
	})
	return *task
}

// once is task for what may have to be done again later: its identity never returns.
func (m *Manager) once(id string, work func(ctx context.Context, progress func(int)) error) imclient.Task {
	return m.task(id+"/"+strconv.FormatInt(time.Now().UnixNano(), 36), work)
}

// Task returns what is known of a task.
func (m *Manager) Task(id string) (imclient.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if task := m.tasks[id]; task != nil {
		return *task, nil
	}
	return imclient.Task{}, fmt.Errorf("task %s: %w", id, errNotFound)
}

// AddReplica begins a rebuild.
func (m *Manager) AddReplica(name string, request imclient.AddReplica) (imclient.Task, error) {
	e, _, err := m.runningEngine(name)
	if err != nil {
		return imclient.Task{}, err
	}
	return m.once("add/"+name+"/"+request.Name, func(ctx context.Context, _ func(int)) error {
		return e.Add(ctx, request.Name, request.Address, request.BytesPerSecond)
	}), nil
}

// Expand grows a volume.
func (m *Manager) Expand(name string, size int64) (imclient.Task, error) {
	e, disk, err := m.runningEngine(name)
	if err != nil {
		return imclient.Task{}, err
	}
	return m.once("expand/"+name, func(ctx context.Context, _ func(int)) error {
		if err := e.Grow(size); err != nil {
			return err
		}
		return disk.Refresh(ctx)
	}), nil
}

// Snapshot makes a snapshot, or removes one.
func (m *Manager) Snapshot(name, snapshot string, remove bool) (imclient.Task, error) {
	if !replica.ValidName(snapshot) {
		return imclient.Task{}, fmt.Errorf("%q is no name of a snapshot", snapshot)
	}
	e, _, err := m.runningEngine(name)
	if err != nil {
		return imclient.Task{}, err
	}
	if remove {
		return m.once("unsnapshot/"+name+"/"+snapshot, func(context.Context, func(int)) error { return e.RemoveSnapshot(snapshot) }), nil
	}
	return m.once("snapshot/"+name+"/"+snapshot, func(context.Context, func(int)) error { return e.Snapshot(snapshot) }), nil
}

// Backup stores a snapshot in a bucket.
func (m *Manager) Backup(name string, request imclient.Backup) (imclient.Task, error) {
	r, err := m.replica(name)
	if err != nil {
		return imclient.Task{}, err
	}
	if !replica.ValidName(request.Name) || !replica.ValidName(request.Volume) || !filepath.IsAbs(request.Bucket) {
		return imclient.Task{}, fmt.Errorf("%q of volume %q in %q is no backup", request.Name, request.Volume, request.Bucket)
	}
	snapshots := r.Files().Meta().Snapshots
	at := slices.IndexFunc(snapshots, func(s replica.Snapshot) bool { return s.Name == request.Snapshot })
	if at < 0 {
		return imclient.Task{}, fmt.Errorf("snapshot %s of replica %s: %w", request.Snapshot, name, errNotFound)
	}
	store := bucket.Bucket{Dir: filepath.Join(m.options.Root, request.Bucket)}
	return m.task("backup/"+request.Volume+"/"+request.Name, func(ctx context.Context, progress func(int)) error {
		_, err := store.Save(ctx, bucket.Backup{
			Name: request.Name, Volume: request.Volume, Snapshot: request.Snapshot, Size: snapshots[at].Size,
			Created: time.Now().UTC(), SnapshotCreated: snapshots[at].Created, Labels: request.Labels, Full: request.Full,
		}, r.Files(), progress)
		return err
	}), nil
}

// Restore fills a replica from a bucket. An engine must not have it open.
func (m *Manager) Restore(name string, request imclient.Restore) (imclient.Task, error) {
	r, err := m.replica(name)
	if err != nil {
		return imclient.Task{}, err
	}
	if r.Opened() {
		return imclient.Task{}, errors.New("an engine has opened the replica")
	}
	store := bucket.Bucket{Dir: filepath.Join(m.options.Root, request.Bucket)}
	return m.task("restore/"+name+"/"+request.Name, func(ctx context.Context, progress func(int)) error {
		if err := r.Files().SetRebuilding(true); err != nil { // half of it is nothing
			return err
		}
		if err := store.Restore(ctx, request.Volume, request.Name, r.Files(), progress); err != nil {
			return err
		}
		return r.Files().SetRebuilding(false)
	}), nil
}
