package fakeapi

import (
	"context"
	"fmt"
	"io"
)

// Namespace is the database's.
const Namespace = "iris"

// Image is the database's.
const Image = "registry.example/iris:1"

// NewDatabase puts a database on node-a of three, with a Longhorn volume that has a replica on each.
func (s *Server) NewDatabase() {
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		s.Put("nodes", Node(name))
		s.Put("replicas", Object{
			"apiVersion": "longhorn.io/v1beta2", "kind": "Replica",
			"metadata": Object{"name": "pvc-1-r-" + name, "namespace": "longhorn-system"},
			"spec":     Object{"volumeName": "pvc-1", "nodeID": name, "healthyAt": "2026-11-01T00:00:00Z"},
		})
	}
	s.Put("engines", Object{
		"apiVersion": "longhorn.io/v1beta2", "kind": "Engine", "metadata": Object{"name": "pvc-1-e-0", "namespace": "longhorn-system"},
		"spec": Object{"volumeName": "pvc-1"}, "status": Object{"replicaModeMap": Object{"pvc-1-r-node-a": "RW"}},
	})
	s.Put("volumes", Object{
		"apiVersion": "longhorn.io/v1beta2", "kind": "Volume", "metadata": Object{"name": "pvc-1", "namespace": "longhorn-system"},
		"spec": Object{"numberOfReplicas": 3}, "status": Object{"state": "attached", "robustness": "healthy", "currentNodeID": "node-a"},
	})
	s.Put("persistentvolumeclaims", Object{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": Object{"name": "iris-pvc", "namespace": Namespace, "uid": "claim-1"},
		"spec": Object{"volumeName": "pvc-1"},
	})
	s.Put("persistentvolumes", Object{
		"apiVersion": "v1", "kind": "PersistentVolume", "metadata": Object{"name": "pvc-1"},
		"spec": Object{"csi": Object{"driver": "driver.longhorn.io", "volumeHandle": "pvc-1"}},
	})
	s.Put("pods", Pod("iris-1", "node-a"))
	s.Attach("node-a")
	s.Serve("iris-1")
}

// Node is a node that is Ready and has room and the image.
func Node(name string) Object {
	return Object{
		"apiVersion": "v1", "kind": "Node",
		"metadata": Object{"name": name, "annotations": Object{"kwok.x-k8s.io/node": "fake"}}, "spec": Object{},
		"status": Object{
			"allocatable": Object{"cpu": "4", "memory": "8Gi", "pods": "110"},
			"conditions":  []any{Object{"type": "Ready", "status": "True"}},
			"images":      []any{Object{"names": []any{Image}}},
		},
	}
}

// Pod is a pod of the database that is Ready.
func Pod(name, node string) Object {
	return Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": Object{
			"name": name, "namespace": Namespace, "labels": Object{"app": "iris"},
			"ownerReferences": []any{Object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "iris", "uid": "rs", "controller": true}},
		},
		"spec": Object{
			"nodeName": node, "containers": []any{Object{
				"name": "iris", "image": Image, "resources": Object{"requests": Object{"cpu": "2", "memory": "4Gi"}},
			}},
		},
		"status": Object{
			"phase": "Running", "conditions": []any{Object{"type": "Ready", "status": "True"}},
			"containerStatuses": []any{Object{"name": "iris", "containerID": "containerd://" + name, "state": Object{"running": Object{"startedAt": "2026-11-01T00:00:00Z"}}}},
		},
	}
}

// Attach attaches the volume to a node.
func (s *Server) Attach(node string) {
	s.Put("volumeattachments", Object{
		"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": Object{"name": "csi-" + node},
		"spec":   Object{"nodeName": node, "attacher": "driver.longhorn.io", "source": Object{"persistentVolumeName": "pvc-1"}},
		"status": Object{"attached": true},
	})
}

// Serve makes the Service lead to a pod.
func (s *Server) Serve(pod string) {
	s.Put("endpointslices", Object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    Object{"name": "iris-svc-1", "namespace": Namespace, "labels": Object{"kubernetes.io/service-name": "iris-svc"}},
		"addressType": "IPv4", "endpoints": []any{Object{
			"addresses": []any{"10.0.0.1"}, "conditions": Object{"ready": pod != ""}, "targetRef": Object{"kind": "Pod", "name": pod},
		}},
	})
}

// SetReady sets a node's condition.
func (s *Server) SetReady(node, status string) {
	s.Edit("nodes", "", node, func(object Object) {
		object["status"].(Object)["conditions"] = []any{Object{"type": "Ready", "status": status}}
	})
}

// FailOver does what the controllers do once the pod is being deleted: the volume moves, and another pod comes up.
func (s *Server) FailOver(old, node string, number int) {
	s.Serve("")
	s.Remove("volumeattachments", "", "csi-node-a")
	s.Remove("pods", Namespace, old)
	s.Attach(node)
	name := fmt.Sprintf("iris-%d", number)
	s.Put("pods", Pod(name, node))
	s.Serve(name)
}

// Contain makes the nodes real: containers run there, and all are one IRIS.
func (s *Server) Contain(iris *IRIS) {
	for _, node := range []string{"node-a", "node-b", "node-c"} {
		s.Edit("nodes", "", node, func(object Object) { delete(metadata(object), "annotations") })
	}
	s.Exec = func(ctx context.Context, _, script string, stdin io.Reader, stdout io.Writer) error {
		return iris.Attach(ctx, script, stdin, stdout)
	}
}

// Restart gives a pod another container, ready or not.
func (s *Server) Restart(pod, container, ready string) {
	s.Edit("pods", Namespace, pod, func(object Object) {
		status := object["status"].(Object)
		status["conditions"] = []any{Object{"type": "Ready", "status": ready}}
		status["containerStatuses"] = []any{Object{"name": "iris", "containerID": container, "restartCount": 1, "state": Object{"running": Object{}}}}
	})
}
