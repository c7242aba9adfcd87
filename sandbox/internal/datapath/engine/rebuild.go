package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ha-iris/sandbox/internal/datapath/wire"
)

// Rebuild is how far the filling of a replica is.
type Rebuild struct {
	// From is the address of the replica that is copied.
	From string `json:"from"`
	// Progress is in percent of the volume's size.
	Progress int    `json:"progress"`
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
}

// The states of a rebuild, in Longhorn's words.
const (
	InProgress = "in_progress"
	Complete   = "complete"
	RebuildErr = "error"
)

// chunk is what is compared and copied at once. Writes wait for it, so it is small.
const chunk = 1 << 20

// Add takes in a replica that lacks data: new writes go to it at once, the rest is copied in the background, at most
// bytesPerSecond (0: as fast as it goes). What the replica has already is compared by checksums and not copied again, as
// Longhorn's fast rebuild does.
func (e *Engine) Add(ctx context.Context, name, address string, bytesPerSecond int64) error {
	r := &replica{name: name, address: address, mode: WriteOnly}
	source, err := e.takeIn(ctx, r)
	if err != nil {
		return err
	}
	e.working.Go(func() {
		pace := &pace{started: time.Now(), rate: bytesPerSecond}
		err := e.fill(r, source, pace)
		if err == nil {
			err = e.finish(r)
		}
		if err != nil {
			e.fail(r, fmt.Errorf("rebuild: %w", err))
		}
		e.note(r, func(rebuild *Rebuild) {
			rebuild.State = Complete
			if err != nil {
				rebuild.State, rebuild.Error = RebuildErr, err.Error()
			}
		})
	})
	return nil
}

func (e *Engine) note(r *replica, change func(*Rebuild)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(r.rebuild)
}

// takeIn opens the replica between two writes, so that none is missing.
func (e *Engine) takeIn(ctx context.Context, r *replica) (*replica, error) {
	e.barrier.Lock()
	defer e.barrier.Unlock()
	if slices.ContainsFunc(e.list(), func(other *replica) bool { return other.name == r.name }) {
		return nil, fmt.Errorf("engine %s has replica %s already", e.name, r.name)
	}
	source := e.turn()
	if source == nil {
		return nil, fmt.Errorf("add replica to engine %s: %w", e.name, ErrNoReplica)
	}
	if err := e.connect(ctx, r, wire.Rebuilding); err != nil {
		return nil, fmt.Errorf("add replica %s: %w", r.name, err)
	}
	r.rebuild = &Rebuild{From: source.address, State: InProgress}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replicas = append(e.replicas, r)
	return source, nil
}

// finish makes the replica one like the others.
func (e *Engine) finish(r *replica) error {
	e.barrier.Lock()
	defer e.barrier.Unlock()
	if _, err := r.client.Do(wire.Request{Op: wire.Rebuilt}); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.mode != WriteOnly {
		return errors.New("dropped meanwhile")
	}
	r.mode, r.rebuild.Progress = ReadWrite, 100
	return nil
}

// meta is what of a replica's metadata a rebuild needs.
type meta struct {
	Snapshots []json.RawMessage `json:"snapshots"`
}

func (e *Engine) fill(r, source *replica, pace *pace) error {
	if err := e.fillFile(r, source, "", pace); err != nil {
		return err
	}
	content, err := source.client.Do(wire.Request{Op: wire.Describe})
	if err != nil {
		return err
	}
	var description meta
	if err := json.Unmarshal(content, &description); err != nil {
		return fmt.Errorf("metadata of replica %s: %w", source.name, err)
	}
	for _, raw := range description.Snapshots {
		var snapshot struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &snapshot); err != nil {
			return fmt.Errorf("metadata of replica %s: %w", source.name, err)
		}
		if _, err := r.client.Do(wire.Request{Op: wire.AddSnapshot, Data: raw}); err != nil {
			return err
		}
		if err := e.fillSnapshot(r, source, raw, snapshot.Name, pace); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) fillSnapshot(r, source *replica, raw json.RawMessage, name string, pace *pace) error {
	var snapshot struct {
		Size int64 `json:"size"`
	}
	if err := json.Unmarshal(raw, &snapshot); err != nil {
		return fmt.Errorf("metadata of snapshot %s: %w", name, err)
	}
	for offset := int64(0); offset < snapshot.Size; {
		next, copied, err := step(r, source, name, offset, snapshot.Size)
		if err != nil {
			return err
		}
		offset = next
		if err := pace.wait(e.context, copied); err != nil {
			return err
		}
	}
	return nil
}

// fillFile copies the volume's content. Each step is taken between two writes; the size may grow meanwhile.
func (e *Engine) fillFile(r, source *replica, name string, pace *pace) error {
	for offset := int64(0); offset < e.Size(); {
		e.barrier.Lock()
		next, copied, err := step(r, source, name, offset, e.Size())
		e.barrier.Unlock()
		if err != nil {
			return err
		}
		offset = next
		e.note(r, func(rebuild *Rebuild) { rebuild.Progress = int(min(99, offset*100/e.size)) })
		if err := pace.wait(e.context, copied); err != nil {
			return err
		}
	}
	return nil
}

// step makes the next range of the replica like the source's: a hole, or one chunk. It returns where to go on and how much was
// copied.
func step(r, source *replica, name string, offset, size int64) (next, copied int64, err error) {
	answer, err := source.client.Do(wire.Request{Op: wire.NextData, Name: name, Offset: offset, Length: size - offset})
	if err != nil {
		return 0, 0, err
	}
	if len(answer) != 8 {
		return 0, 0, errors.New("answer of the wrong length")
	}
	if data := int64(binary.BigEndian.Uint64(answer)); data > offset {
		_, err := r.client.Do(wire.Request{Op: wire.Zero, Name: name, Offset: offset, Length: data - offset})
		return data, 0, err
	}
	length := min(chunk, size-offset)
	where := wire.Request{Op: wire.Hash, Name: name, Offset: offset, Length: length}
	there, err := source.client.Do(where)
	if err != nil {
		return 0, 0, err
	}
	here, err := r.client.Do(where)
	if err != nil {
		return 0, 0, err
	}
	if bytes.Equal(there, here) {
		return offset + length, 0, nil
	}
	where.Op = wire.Read
	content, err := source.client.Do(where)
	if err != nil {
		return 0, 0, err
	}
	_, err = r.client.Do(wire.Request{Op: wire.Write, Name: name, Offset: offset, Data: content})
	return offset + length, length, err
}

// pace keeps a copy below its rate.
type pace struct {
	started time.Time
	rate    int64
	copied  int64
}

func (p *pace) wait(ctx context.Context, copied int64) error {
	p.copied += copied
	if p.rate <= 0 {
		return ctx.Err()
	}
	due := p.started.Add(time.Duration(float64(p.copied) / float64(p.rate) * float64(time.Second)))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(due)):
		return nil
	}
}
