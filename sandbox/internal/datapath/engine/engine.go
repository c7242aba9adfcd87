// Package engine plays Longhorn's engine: it writes to all replicas of a volume at once, reads from one after the other, drops
// those that do not answer, and goes on with the rest, however few.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"ha-iris/sandbox/internal/datapath/wire"
)

// Mode is what the engine does with a replica, in Longhorn's words.
type Mode string

// The modes of a replica.
const (
	ReadWrite Mode = "RW"
	WriteOnly Mode = "WO"
	Failed    Mode = "ERR"
)

// ErrNoReplica is every answer of an engine that has no replica left to read from.
var ErrNoReplica = errors.New("no replica is left")

// pingEvery is how often a replica is asked whether it is there, so that an idle engine notices too. longhorn-engine asks every
// two seconds.
const pingEvery = 2 * time.Second

// Config is what an engine is started with.
type Config struct {
	Name string
	Size int64
	// Replicas are the addresses by name. All that answer are taken as they are: nothing is compared.
	Replicas map[string]string
	// Timeout is the engine's replica timeout. The last replica gets twice as much (longhorn.md).
	Timeout time.Duration
	Log     *slog.Logger
}

// Engine is a volume's engine.
type Engine struct {
	name    string
	timeout time.Duration
	log     *slog.Logger
	stop    context.CancelFunc
	context context.Context
	working sync.WaitGroup

	// barrier is held for reading by each write until all replicas have answered, and for writing by what needs all replicas
	// alike: a snapshot, growth, and each step of a rebuild.
	barrier sync.RWMutex

	mu       sync.Mutex
	size     int64
	replicas []*replica
	next     int
}

type replica struct {
	name, address string
	client        *wire.Client // nil: never connected

	// Guarded by the engine's mutex.
	mode    Mode
	failure string
	rebuild *Rebuild
}

// Start connects to the replicas. One that does not answer is in error from the start; it fails only if none answers.
func Start(ctx context.Context, config Config) (*Engine, error) {
	e := &Engine{name: config.Name, size: config.Size, timeout: config.Timeout, log: config.Log.With("engine", config.Name)}
	e.context, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	var connecting sync.WaitGroup
	errs := make([]error, len(config.Replicas))
	for at, name := range slices.Sorted(maps.Keys(config.Replicas)) {
		r := &replica{name: name, address: config.Replicas[name], mode: ReadWrite}
		e.replicas = append(e.replicas, r)
		connecting.Go(func() { errs[at] = e.connect(ctx, r, "") })
	}
	connecting.Wait()
	for at, err := range errs {
		if err != nil {
			e.fail(e.replicas[at], err)
		}
	}
	if len(e.in(ReadWrite)) == 0 {
		err := fmt.Errorf("start engine %s: %w: %v", e.name, ErrNoReplica, e.Replicas())
		e.Close()
		return nil, err
	}
	e.working.Go(e.ping)
	return e, nil
}

// connect opens the replica; how is empty, or wire.Rebuilding.
func (e *Engine) connect(ctx context.Context, r *replica, how string) error {
	client, err := wire.Dial(ctx, r.address, e.timeout)
	if err != nil {
		return err
	}
	if _, err := client.Do(wire.Request{Op: wire.Open, Name: how, Length: e.Size()}); err != nil {
		client.Close()
		return fmt.Errorf("open replica: %w", err)
	}
	r.client = client
	return nil
}

// Close ends the engine and its connections. Writes under way fail; the replicas keep what they have.
func (e *Engine) Close() {
	e.stop()
	for _, r := range e.list() {
		if r.client != nil {
			r.client.Close()
		}
	}
	e.working.Wait()
}

// Size is the volume's size.
func (e *Engine) Size() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size
}

// ReplicaStatus is what the engine knows of a replica.
type ReplicaStatus struct {
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Mode    Mode     `json:"mode"`
	Error   string   `json:"error,omitempty"`
	Rebuild *Rebuild `json:"rebuild,omitempty"`
}

// Replicas returns the replicas by name. One in error stays until it is removed.
func (e *Engine) Replicas() []ReplicaStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []ReplicaStatus
	for _, r := range e.replicas {
		status := ReplicaStatus{Name: r.name, Address: r.address, Mode: r.mode, Error: r.failure}
		if r.rebuild != nil {
			rebuild := *r.rebuild
			status.Rebuild = &rebuild
		}
		all = append(all, status)
	}
	return all
}

func (e *Engine) list() []*replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.replicas)
}

// in returns the replicas in one of the modes.
func (e *Engine) in(modes ...Mode) []*replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inLocked(modes...)
}

func (e *Engine) inLocked(modes ...Mode) []*replica {
	var found []*replica
	for _, r := range e.replicas {
		if slices.Contains(modes, r.mode) {
			found = append(found, r)
		}
	}
	return found
}

// fail drops a replica. Nobody else learns of it: that it lacks data is known to this engine only, which is how replicas that
// differ are taken as healthy later (longhorn-real.md, run 3).
func (e *Engine) fail(r *replica, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.mode == Failed {
		return
	}
	e.log.Warn("replica dropped", "replica", r.name, "error", err)
	r.mode, r.failure = Failed, err.Error()
	if r.client != nil {
		r.client.Close()
	}
	if left := e.inLocked(ReadWrite); len(left) == 1 && left[0].client != nil {
		left[0].client.SetTimeout(2 * e.timeout)
	}
}

func (e *Engine) ping() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-e.context.Done():
			return
		case <-ticker.C:
		}
		for _, r := range e.in(ReadWrite, WriteOnly) {
			e.working.Go(func() {
				if _, err := r.client.Do(wire.Request{Op: wire.Ping}); err != nil && e.context.Err() == nil {
					e.fail(r, err)
				}
			})
		}
	}
}

// Remove forgets a replica.
func (e *Engine) Remove(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := slices.IndexFunc(e.replicas, func(r *replica) bool { return r.name == name })
	if at < 0 {
		return nil
	}
	r := e.replicas[at]
	if r.mode == ReadWrite && len(e.inLocked(ReadWrite)) == 1 {
		return fmt.Errorf("replica %s is the last one of engine %s", name, e.name)
	}
	r.mode = Failed
	if r.client != nil {
		r.client.Close()
	}
	e.replicas = slices.Delete(slices.Clone(e.replicas), at, at+1)
	return nil
}
