//go:build linux

// Package instances is Longhorn's instance manager on one node: the processes of engines and replicas, which live and end with
// it, and the HTTP interface by which they are managed.
package instances

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/replica"
)

// Options say where an instance manager works.
type Options struct {
	// Root is where the node's root directory is mounted.
	Root string
	// Address is where replicas listen, without a port; empty means everywhere.
	Address string
	// MountDir is for FUSE mounts of this process.
	MountDir string
	// DeviceDir is below Root.
	DeviceDir string
	// Helper runs blockdev.RunHelper.
	Helper []string
	Log    *slog.Logger
}

var errNotFound = errors.New("not found")

// Manager has the instances.
type Manager struct {
	options Options
	owner   string
	ctx     context.Context
	stop    context.CancelFunc
	working sync.WaitGroup

	mu       sync.Mutex
	replicas map[string]*process
	engines  map[string]*engineProcess
	tasks    map[string]*imclient.Task
}

type process struct {
	*replica.Server
	directory string
	// id is another one for each process.
	id string
}

// New cleans up what a predecessor on the same node left, and returns a manager without instances.
func New(options Options) (*Manager, error) {
	owner, err := Owner(options.Root)
	if err != nil {
		return nil, err
	}
	if err := blockdev.CleanUp(owner, filepath.Join(options.Root, options.DeviceDir)); err != nil {
		return nil, fmt.Errorf("clean up after a predecessor: %w", err)
	}
	m := &Manager{
		options: options, owner: owner,
		replicas: map[string]*process{}, engines: map[string]*engineProcess{}, tasks: map[string]*imclient.Task{},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Close ends all instances. Volumes in use give I/O errors from then on.
func (m *Manager) Close() error {
	m.stop()
	m.mu.Lock()
	var ending sync.WaitGroup
	var errs []error
	for _, e := range m.engines {
		ending.Go(func() { e.end() })
	}
	replicas := m.replicas
	m.replicas = map[string]*process{}
	m.mu.Unlock()
	ending.Wait()
	for _, r := range replicas {
		errs = append(errs, r.Close())
	}
	m.working.Wait()
	return errors.Join(errs...)
}

// List returns all instances.
func (m *Manager) List() imclient.Instances {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := imclient.Instances{Owner: m.owner, Replicas: []imclient.Replica{}, Engines: []imclient.Engine{}}
	for name, r := range m.replicas {
		all.Replicas = append(all.Replicas, m.describe(name, r))
	}
	for _, e := range m.engines {
		all.Engines = append(all.Engines, e.describe())
	}
	slices.SortFunc(all.Replicas, func(a, b imclient.Replica) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(all.Engines, func(a, b imclient.Engine) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (m *Manager) describe(name string, r *process) imclient.Replica {
	meta := r.Files().Meta()
	described := imclient.Replica{
		Name: name, Directory: r.directory, Port: r.Port(), Size: meta.Size,
		Opened: r.Opened(), Rebuilding: meta.Rebuilding, Allocated: allocated(m.replicaDir(r.directory, name)),
		Snapshots: []imclient.Snapshot{},
	}
	for _, s := range meta.Snapshots {
		described.Snapshots = append(described.Snapshots, imclient.Snapshot{
			Name: s.Name, Size: s.Size, Created: s.Created, Allocated: r.Files().Allocated(s.Name),
		})
	}
	return described
}

// allocated sums up the blocks of a directory's files, as du does.
func allocated(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // what goes meanwhile does not count
		var seen unix.Stat_t
		if err == nil && unix.Lstat(path, &seen) == nil {
			total += seen.Blocks * 512
		}
		return nil
	})
	return total
}

func (m *Manager) replicaDir(directory, name string) string {
	return filepath.Join(m.options.Root, directory, "replicas", name)
}

// StartReplica starts a replica's process; one that runs stays.
func (m *Manager) StartReplica(request imclient.StartReplica) (imclient.Replica, error) {
	if !replica.ValidName(request.Name) || !filepath.IsAbs(request.Directory) {
		return imclient.Replica{}, fmt.Errorf("%q in %q is no replica", request.Name, request.Directory)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.replicas[request.Name]; r != nil {
		return m.describe(request.Name, r), nil
	}
	if m.ctx.Err() != nil {
		return imclient.Replica{}, errors.New("the instance manager ends")
	}
	files, err := replica.Open(m.replicaDir(request.Directory, request.Name), request.Size)
	if err != nil {
		return imclient.Replica{}, err
	}
	server, err := replica.Serve(files, m.options.Address+":0")
	if err != nil {
		return imclient.Replica{}, errors.Join(err, files.Close())
	}
	r := &process{server, request.Directory, uuid.NewString()}
	m.replicas[request.Name] = r
	return m.describe(request.Name, r), nil
}

// StopReplica ends a replica's process.
func (m *Manager) StopReplica(name string) error {
	m.mu.Lock()
	r := m.replicas[name]
	delete(m.replicas, name)
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.Close()
}

// DeleteReplica removes a replica's data.
func (m *Manager) DeleteReplica(directory, name string) error {
	if !replica.ValidName(name) || !filepath.IsAbs(directory) {
		return fmt.Errorf("%q in %q is no replica", name, directory)
	}
	if err := m.StopReplica(name); err != nil {
		return err
	}
	return replica.Remove(m.replicaDir(directory, name))
}

func (m *Manager) replica(name string) (*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.replicas[name]
	if r == nil {
		return nil, fmt.Errorf("replica %s: %w", name, errNotFound)
	}
	return r, nil
}
