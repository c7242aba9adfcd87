package cluster

import (
	"context"
	"fmt"
	"os"

	"ha-iris/sandbox/internal/lock"
)

// lock keeps a second "sandbox up" or "sandbox down" of the same cluster out until unlock is called. The kernel drops the
// lock when the process dies, so a crash leaves none behind.
func (c *Cluster) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.layout.Clusters(), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of clusters: %w", err)
	}
	// Beside the cluster's directory, not inside it: --purge deletes that one while it holds the lock.
	return lock.Take(ctx, c.Dir+".lock", func() {
		c.say("another sandbox command works on %q: waiting for it", c.Name)
	})
}
