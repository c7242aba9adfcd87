//go:build linux

package instances

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/replica"
)

// defaultTimeout is engine-replica-timeout's default (longhorn.md 2.2).
const defaultTimeout = 8 * time.Second

type engineProcess struct {
	manager *Manager
	uuid    string
	request imclient.StartEngine
	started chan struct{}
	once    sync.Once

	mu     sync.Mutex
	state  string
	err    error
	engine *engine.Engine
	disk   *blockdev.Disk
}

// StartEngine starts an engine in the background. One of that name is returned as it is, whatever replicas it has.
func (m *Manager) StartEngine(request imclient.StartEngine) (imclient.Engine, error) {
	if !replica.ValidName(request.Name) || !replica.ValidName(request.Volume) {
		return imclient.Engine{}, fmt.Errorf("%q of volume %q is no engine", request.Name, request.Volume)
	}
	if request.ReplicaTimeout == 0 {
		request.ReplicaTimeout = defaultTimeout
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.engines[request.Name]; e != nil {
		return e.describe(), nil
	}
	if m.ctx.Err() != nil {
		return imclient.Engine{}, errors.New("the instance manager ends")
	}
	for _, other := range m.engines {
		if other.request.Volume == request.Volume {
			return imclient.Engine{}, fmt.Errorf("volume %s has engine %s", request.Volume, other.request.Name)
		}
	}
	e := &engineProcess{manager: m, uuid: uuid.NewString(), request: request, started: make(chan struct{}), state: imclient.Starting}
	m.engines[request.Name] = e
	m.working.Go(e.start)
	return e.describe(), nil
}

func (e *engineProcess) start() {
	defer close(e.started)
	m := e.manager
	running, err := engine.Start(m.ctx, engine.Config{
		Name: e.request.Name, Size: e.request.Size, Replicas: e.request.Replicas, Timeout: e.request.ReplicaTimeout, Log: m.options.Log,
	})
	if err != nil {
		e.failed(err)
		return
	}
	disk, err := blockdev.Attach(m.ctx, blockdev.Options{
		Owner: m.owner, Volume: e.request.Volume, MountDir: m.options.MountDir,
		DeviceDir: filepath.Join(m.options.Root, m.options.DeviceDir), Helper: m.options.Helper, Log: m.options.Log,
	}, running)
	if err != nil {
		running.Close()
		e.failed(err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.engine, e.disk = running, disk
	if e.state == imclient.Starting {
		e.state = imclient.Running
	}
}

func (e *engineProcess) failed(err error) {
	e.manager.options.Log.Error("engine did not start", "engine", e.request.Name, "error", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.err = imclient.Failed, err
}

func (e *engineProcess) describe() imclient.Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	described := imclient.Engine{
		Name: e.request.Name, UUID: e.uuid, Volume: e.request.Volume, Size: e.request.Size, State: e.state,
		Replicas: []engine.ReplicaStatus{},
	}
	if e.err != nil {
		described.Error = e.err.Error()
	}
	if e.engine == nil {
		return described
	}
	described.Size, described.Replicas = e.engine.Size(), e.engine.Replicas()
	described.Endpoint = filepath.Join(e.manager.options.DeviceDir, e.request.Volume)
	for _, r := range described.Replicas {
		if r.Mode == engine.ReadWrite {
			return described
		}
	}
	if described.State == imclient.Running {
		described.State, described.Error = imclient.Failed, engine.ErrNoReplica.Error()
	}
	return described
}

// end removes the device, then the engine: what is not flushed yet goes to the replicas first, unless the device is in use.
func (e *engineProcess) end() {
	e.once.Do(func() {
		<-e.started
		e.mu.Lock()
		disk, running := e.disk, e.engine
		e.mu.Unlock()
		if disk != nil {
			if err := disk.Detach(context.Background()); err != nil {
				e.manager.options.Log.Error("device did not end in order", "engine", e.request.Name, "error", err)
			}
		}
		if running != nil {
			running.Close()
		}
	})
}

// StopEngine begins to end an engine. One that is not there has ended already.
func (m *Manager) StopEngine(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.engines[name]
	if e == nil {
		return nil
	}
	e.mu.Lock()
	e.state = imclient.Stopping
	e.mu.Unlock()
	m.working.Go(func() {
		e.end()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.engines[name] == e {
			delete(m.engines, name)
		}
	})
	return nil
}

// runningEngine returns an engine and its device once it runs.
func (m *Manager) runningEngine(name string) (*engine.Engine, *blockdev.Disk, error) {
	m.mu.Lock()
	e := m.engines[name]
	m.mu.Unlock()
	if e == nil {
		return nil, nil, fmt.Errorf("engine %s: %w", name, errNotFound)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.engine == nil || e.state == imclient.Stopping {
		return nil, nil, fmt.Errorf("engine %s does not run: it is %s", name, e.state)
	}
	return e.engine, e.disk, nil
}
