package kube

import (
	"context"
	"fmt"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/agent/internal/guard"
)

// others are the objects that are read only when something is the matter.
type others struct {
	attachments   []storagev1.VolumeAttachment
	longhornNodes map[string]bool
	replicas      []guard.Replica
	orphans       []guard.Orphan
}

func (c *Cluster) listLonghorn(ctx context.Context, namespace, resource, selector string) ([]unstructured.Unstructured, error) {
	list, err := c.Dynamic.Resource(longhorn(resource)).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("the %s of Longhorn in %s: %w", resource, namespace, err)
	}
	return list.Items, nil
}

// longhornNodes says of each of Longhorn's own node objects whether it is Ready.
func (c *Cluster) longhornNodes(ctx context.Context, namespace string) (map[string]bool, error) {
	objects, err := c.listLonghorn(ctx, namespace, "nodes", "")
	if err != nil {
		return nil, err
	}
	ready := make(map[string]bool, len(objects))
	for _, object := range objects {
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		for _, one := range conditions {
			condition, _ := one.(map[string]any)
			if condition["type"] == "Ready" {
				ready[object.GetName()] = condition["status"] == "True"
			}
		}
	}
	return ready, nil
}

// replicas are those of the volume (label longhornvolume, longhorn-manager types.go GetVolumeLabels). One that is being deleted is none
// any more, and one that is not active belongs to an upgrade of the engine (volume_controller.go isHealthyAndActiveReplica).
func (r *Reader) replicas(ctx context.Context, volume string) ([]guard.Replica, error) {
	objects, err := r.cluster.listLonghorn(ctx, r.target.LonghornNamespace, "replicas", "longhornvolume="+volume)
	if err != nil {
		return nil, err
	}
	var replicas []guard.Replica
	for _, object := range objects {
		if object.GetDeletionTimestamp() != nil || text(object, "spec", "volumeName") != volume {
			continue
		}
		active, given, _ := unstructured.NestedBool(object.Object, "spec", "active")
		failed := text(object, "spec", "failedAt") != ""
		replicas = append(replicas, guard.Replica{
			Name:            object.GetName(),
			ResourceVersion: object.GetResourceVersion(),
			Node:            text(object, "spec", "nodeID"),
			Healthy:         text(object, "spec", "healthyAt") != "" && !failed && (active || !given),
			Failed:          failed,
		})
	}
	return replicas, nil
}

// orphans are the volume's engines that run where they should not. One that is being deleted still runs.
func (r *Reader) orphans(ctx context.Context, volume string) ([]guard.Orphan, error) {
	objects, err := r.cluster.listLonghorn(ctx, r.target.LonghornNamespace, "orphans", "longhorn.io/orphan-type=engine-instance")
	if err != nil {
		return nil, err
	}
	var orphans []guard.Orphan
	for _, object := range objects {
		if engineOf(text(object, "spec", "parameters", "InstanceName"), volume) {
			orphans = append(orphans, guard.Orphan{Name: object.GetName(), UID: string(object.GetUID()), Node: text(object, "spec", "nodeID")})
		}
	}
	return orphans, nil
}

// engineOf says whether an engine is the volume's: its name is the volume's, -e- and a number, or a word in volumes of old versions
// (longhorn-manager types.go GenerateEngineNameForVolume). Another volume's may begin with the same letters.
func engineOf(engine, volume string) bool {
	suffix, found := strings.CutPrefix(engine, volume+"-e-")
	return found && suffix != "" && !strings.Contains(suffix, "-")
}

func text(object unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}
