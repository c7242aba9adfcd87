package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lock keeps a second "sandbox up" or "sandbox down" of the same cluster out until unlock is called. The kernel drops the
// lock when the process dies, so a crash leaves none behind.
func (c *Cluster) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.layout.Clusters(), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of clusters: %w", err)
	}
	// Beside the cluster's directory, not inside it: --purge deletes that one while it holds the lock.
	return Lock(ctx, c.Dir+".lock", func() {
		c.say("another sandbox command works on %q: waiting for it", c.Name)
	})
}

// Lock takes the advisory lock of a file, which it creates if need be, and calls waiting once if it is held elsewhere.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := acquire(ctx, file, waiting); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing the only descriptor releases the lock
}

func acquire(ctx context.Context, file *os.File, waiting func()) error {
	announced := false
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if !announced {
			waiting()
			announced = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
