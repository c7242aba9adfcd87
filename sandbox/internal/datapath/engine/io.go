package engine

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"ha-iris/sandbox/internal/datapath/wire"
)

// errOutside is a request beyond the volume's end.
var errOutside = errors.New("outside of the volume")

func (e *Engine) within(offset, length int64) error {
	size := e.Size()
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return fmt.Errorf("%d bytes at %d of %d: %w", length, offset, size, errOutside)
	}
	return nil
}

// ReadAt reads from one replica, the next time from the next one. Replicas that differ are not noticed.
func (e *Engine) ReadAt(data []byte, offset int64) (int, error) {
	if err := e.within(offset, int64(len(data))); err != nil {
		return 0, err
	}
	for {
		r := e.turn()
		if r == nil {
			return 0, fmt.Errorf("read from engine %s: %w", e.name, ErrNoReplica)
		}
		answer, err := r.client.Do(wire.Request{Op: wire.Read, Offset: offset, Length: int64(len(data))})
		if err == nil && len(answer) != len(data) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			return copy(data, answer), nil
		}
		e.fail(r, err)
	}
}

// turn chooses the replica for the next read.
func (e *Engine) turn() *replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	readable := e.inLocked(ReadWrite)
	if len(readable) == 0 {
		return nil
	}
	e.next++
	return readable[e.next%len(readable)]
}

// WriteAt answers when every replica has written, or was dropped.
func (e *Engine) WriteAt(data []byte, offset int64) (int, error) {
	if err := e.within(offset, int64(len(data))); err != nil {
		return 0, err
	}
	if err := e.toAll(wire.Request{Op: wire.Write, Offset: offset, Data: data}); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Zero discards a range, which reads as zeros then.
func (e *Engine) Zero(offset, length int64) error {
	if err := e.within(offset, length); err != nil {
		return err
	}
	return e.toAll(wire.Request{Op: wire.Zero, Offset: offset, Length: length})
}

// Flush answers when every replica has all answered writes on its disk.
func (e *Engine) Flush() error { return e.toAll(wire.Request{Op: wire.Flush}) }

func (e *Engine) toAll(request wire.Request) error {
	e.barrier.RLock()
	defer e.barrier.RUnlock()
	return e.each(func(c *wire.Client) error {
		_, err := c.Do(request)
		return err
	})
}

// each asks all replicas at once and drops those that fail. It succeeds if one that can be read has succeeded. The caller
// holds the barrier.
func (e *Engine) each(ask func(*wire.Client) error) error {
	targets := e.in(ReadWrite, WriteOnly)
	var asking sync.WaitGroup
	for _, r := range targets {
		asking.Go(func() {
			if err := ask(r.client); err != nil {
				e.fail(r, err)
			}
		})
	}
	asking.Wait()
	if len(e.in(ReadWrite)) == 0 {
		return fmt.Errorf("write to engine %s: %w", e.name, ErrNoReplica)
	}
	return nil
}

// Grow makes the volume larger on all replicas.
func (e *Engine) Grow(size int64) error {
	e.barrier.Lock()
	defer e.barrier.Unlock()
	if size < e.Size() {
		return fmt.Errorf("engine %s: size %d is below %d: a volume does not shrink", e.name, size, e.Size())
	}
	err := e.each(func(c *wire.Client) error {
		_, err := c.Do(wire.Request{Op: wire.Grow, Length: size})
		return err
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.size = size
	return nil
}

// Snapshot keeps the volume as it is now, on all replicas. Writes wait meanwhile.
func (e *Engine) Snapshot(name string) error {
	e.barrier.Lock()
	defer e.barrier.Unlock()
	now := time.Now().UnixNano()
	return e.each(func(c *wire.Client) error {
		if _, err := c.Do(wire.Request{Op: wire.Flush}); err != nil {
			return err
		}
		_, err := c.DoLong(wire.Request{Op: wire.Snapshot, Name: name, Offset: now})
		return err
	})
}

// RemoveSnapshot removes a snapshot from all replicas.
func (e *Engine) RemoveSnapshot(name string) error {
	e.barrier.Lock()
	defer e.barrier.Unlock()
	return e.each(func(c *wire.Client) error {
		_, err := c.DoLong(wire.Request{Op: wire.RemoveSnapshot, Name: name})
		return err
	})
}
