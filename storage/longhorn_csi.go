package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ha-iris/internal/live"
	"ha-iris/internal/pods"
)

const (
	// driverBudget is how long Longhorn's driver may take to be registered on every node after Helm has finished. On clean nodes
	// with the images present the whole install took 77 s; what is left after Helm is the pull of the sidecars' images.
	driverBudget = 5 * time.Minute
	// driverTick is how often the nodes are checked.
	driverTick = 2 * time.Second
	// driverReport is how often waiting is reported.
	driverReport = 15 * time.Second

	deployerApp, pluginApp, managerApp = "longhorn-driver-deployer", "longhorn-csi-plugin", "longhorn-manager"
)

// csiDriver is the progress of Longhorn's CSI driver.
type csiDriver struct {
	// registered: the CSIDriver object exists.
	registered bool
	// nodes are those that count, missing those of them whose kubelet does not know the driver.
	nodes, missing []string
	// hopeless: the deployer ends again and again.
	hopeless bool
}

func (d csiDriver) ready() bool { return d.registered && len(d.nodes) > 0 && len(d.missing) == 0 }

func (d csiDriver) String() string {
	switch {
	case len(d.nodes) == 0:
		return managerApp + " runs on no node that is Ready and takes pods"
	case !d.registered:
		return "there is no CSIDriver " + provisioner
	default:
		return fmt.Sprintf("the driver %s is missing on %s (%d of %d nodes have it)",
			provisioner, strings.Join(d.missing, ", "), len(d.nodes)-len(d.missing), len(d.nodes))
	}
}

// awaitDriver waits until every node that can run the database can mount its volume. Helm does not: it waits
// for the driver's deployer, which counts as ready as soon as its container has started once.
func (k *keeper) awaitDriver(ctx context.Context) error {
	start := k.now()
	for reported := start; ; {
		found, err := k.findDriver(ctx)
		if err != nil {
			return k.unknown("Longhorn's driver", err)
		}
		if found.ready() {
			return nil
		}
		now := k.now()
		if waited := now.Sub(start); waited >= k.budget || found.hopeless {
			return fmt.Errorf("longhorn is installed but not ready after %.0f s: %s%s", waited.Seconds(), found, k.diagnose(ctx))
		}
		if now.Sub(reported) >= driverReport {
			reported = now
			k.log.info(fmt.Sprintf("Waiting for Longhorn for %.0f s: %s", now.Sub(start).Seconds(), found))
		}
		if err := k.sleep(ctx, driverTick); err != nil {
			return err
		}
	}
}

// findDriver checks the nodes on which Longhorn's manager runs, according to the chart's tolerations and selectors. Nodes that are
// not Ready or are cordoned are ignored.
func (k *keeper) findDriver(ctx context.Context) (csiDriver, error) {
	var found csiDriver
	all, err := k.pods(ctx)
	if err != nil {
		return found, err
	}
	usable, err := k.usableNodes(ctx)
	if err != nil {
		return found, err
	}
	if found.registered, err = k.live.Get(ctx, "/apis/storage.k8s.io/v1/csidrivers/"+provisioner, nil); err != nil {
		return found, err
	}
	var csiNodes struct {
		Items []struct {
			Metadata pods.Meta `json:"metadata"`
			Spec     struct {
				Drivers []pods.Meta `json:"drivers"`
			} `json:"spec"`
		} `json:"items"`
	}
	if _, err := k.live.Get(ctx, "/apis/storage.k8s.io/v1/csinodes", &csiNodes); err != nil {
		return found, err
	}
	has := map[string]bool{}
	for _, node := range csiNodes.Items {
		has[node.Metadata.Name] = slices.ContainsFunc(node.Spec.Drivers, func(d pods.Meta) bool { return d.Name == provisioner })
	}
	for _, p := range all {
		switch {
		case app(p) == deployerApp:
			found.hopeless = found.hopeless || p.Hopeless()
		case app(p) == managerApp && usable[p.Spec.NodeName]:
			found.nodes = append(found.nodes, p.Spec.NodeName)
			if !has[p.Spec.NodeName] {
				found.missing = append(found.missing, p.Spec.NodeName)
			}
		}
	}
	slices.Sort(found.missing)
	return found, nil
}

func (k *keeper) namespace() pods.Namespace { return pods.Namespace{API: k.live, Name: namespaceName} }

func (k *keeper) pods(ctx context.Context) ([]pods.Pod, error) {
	return k.namespace().List(ctx, "app in ("+strings.Join([]string{deployerApp, pluginApp, managerApp}, ",")+")")
}

func app(p pods.Pod) string { return p.Metadata.Labels["app"] }

// usableNodes returns the nodes that are Ready and not cordoned.
func (k *keeper) usableNodes(ctx context.Context) (map[string]bool, error) {
	var list struct {
		Items []struct {
			Metadata pods.Meta `json:"metadata"`
			Spec     struct {
				Unschedulable bool `json:"unschedulable"`
			} `json:"spec"`
			Status struct {
				Conditions live.Conditions `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	if _, err := k.live.Get(ctx, "/api/v1/nodes", &list); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	usable := map[string]bool{}
	for _, node := range list.Items {
		usable[node.Metadata.Name] = !node.Spec.Unschedulable && node.Status.Conditions.Ready()
	}
	return usable, nil
}
