package cluster

import (
	"embed"
	"fmt"
)

//go:embed stages/*.yaml
var stageFiles embed.FS

func (c *Cluster) stagesPath() string { return c.path("run", "stages.yaml") }

// writeStages writes kwok's configuration: what simulated nodes and the cloud do, and when.
func (c *Cluster) writeStages(mode LoadBalancer) error {
	names := []string{"node.yaml", "pod.yaml", "loadbalancer-withdrawn.yaml"}
	switch mode {
	case LoadBalancerIP:
		names = append(names, "loadbalancer-ip.yaml")
	case LoadBalancerHostname:
		names = append(names, "loadbalancer-hostname.yaml")
	case LoadBalancerPending:
		// No stage: the Service waits for ever, as on bare metal without a load balancer.
	}
	var content []byte
	for _, name := range names {
		stage, err := stageFiles.ReadFile("stages/" + name)
		if err != nil {
			return fmt.Errorf("read embedded stage: %w", err)
		}
		content = append(content, "---\n"...)
		content = append(content, stage...)
	}
	return writeFile(c.stagesPath(), content)
}
