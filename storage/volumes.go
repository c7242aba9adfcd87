package storage

import (
	"context"

	"ha-iris/internal/live"
)

// Volumes are the volumes of the installed driver, for changes that replace nodes.
type Volumes struct{ driver driver }

// Volumes returns the driver's; nil when none is installed, because then nothing is known of the volumes.
func (c Config) Volumes() *Volumes {
	if !c.Install {
		return nil
	}
	return &Volumes{c.driver()}
}

// Unhealthy returns a line for each volume that has fewer healthy replicas than it should.
func (v *Volumes) Unhealthy(ctx context.Context, cluster *live.Cluster) ([]string, error) {
	return v.driver.unhealthy(ctx, cluster)
}

// Leave asks the driver to move all replicas off nodes, and returns a line for each that is still there.
func (v *Volumes) Leave(ctx context.Context, cluster *live.Cluster, nodes []string) ([]string, error) {
	return v.driver.leave(ctx, cluster, nodes)
}
