package standin

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Words for what a replica does.
const (
	running = "running"
	stopped = "stopped"
	// modeRW and modeWO are an engine's words for a replica that it reads and writes, and for one that is being rebuilt.
	modeRW = "RW"
	modeWO = "WO"
)

// createReplica adds a copy of the volume's data on the disk. Its data is there at once if the volume has none yet;
// otherwise it has to be rebuilt.
func (c *standIn) createReplica(ctx context.Context, s *state, volume *unstructured.Unstructured, where place) error {
	name := volume.GetName()
	replica := newObject(s.namespace, replicaKind, name+"-r-"+rand.String(8))
	replica.SetFinalizers([]string{longhornFinalizer})
	replica.SetLabels(map[string]string{"longhornvolume": name, "longhornnode": where.node, "longhorndiskuuid": where.uuid})
	replica.Object["spec"] = map[string]any{
		"volumeName": name, "volumeSize": textAt(volume, "spec", "size"), "nodeID": where.node, "engineName": engineName(name),
		"diskID": where.uuid, "diskPath": where.path, "dataDirectoryName": replica.GetName(), "dataEngine": "v1",
		"active": true, "desireState": stopped, "healthyAt": "", "lastHealthyAt": "", "failedAt": "", "lastFailedAt": "",
		"evictionRequested": false, "hardNodeAffinity": "", "rebuildRetryCount": int64(0),
	}
	replica.Object["status"] = map[string]any{"currentState": stopped, "instanceManagerName": "", "ip": "", "port": int64(0)}
	if err := c.longhorn.create(ctx, replicaKind, replica); err != nil {
		return err
	}
	created, err := c.longhorn.get(ctx, s.namespace, replicaKind, replica.GetName())
	if err != nil || created == nil {
		return err
	}
	s.replicas[name] = append(s.replicas[name], created)
	return nil
}

func (c *standIn) removeReplica(ctx context.Context, s *state, replica *unstructured.Unstructured) error {
	volume := textAt(replica, "spec", "volumeName")
	s.replicas[volume] = slices.DeleteFunc(s.replicas[volume], func(other *unstructured.Unstructured) bool {
		return other.GetName() == replica.GetName()
	})
	c.ticks.forget("replica/" + replica.GetName())
	c.deleteFiles(ctx, s, replica)
	return c.longhorn.remove(ctx, replicaKind, replica)
}

// removeCopies removes what Longhorn keeps for a volume that is gone.
func (c *standIn) removeCopies(ctx context.Context, namespace, volume string) error {
	s, err := c.readState(ctx, namespace)
	if err != nil {
		return err
	}
	if engine := s.engines[volume]; engine != nil && textAt(engine, "spec", "nodeID") != "" && c.realNode(textAt(engine, "spec", "nodeID")) {
		if err := c.endEngine(ctx, s, volume, textAt(engine, "spec", "nodeID")); err != nil {
			return err
		}
	}
	for _, replica := range slices.Clone(s.replicas[volume]) {
		if err := c.removeReplica(ctx, s, replica); err != nil {
			return err
		}
	}
	if engine := s.engines[volume]; engine != nil {
		return c.longhorn.remove(ctx, engineKind, engine)
	}
	return nil
}

func engineName(volume string) string { return volume + "-e-0" }

// engineOf returns the volume's engine, and makes one if there is none.
func (c *standIn) engineOf(ctx context.Context, s *state, volume *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	name := volume.GetName()
	if engine := s.engines[name]; engine != nil {
		return engine, nil
	}
	engine := newObject(s.namespace, engineKind, engineName(name))
	engine.SetFinalizers([]string{longhornFinalizer})
	engine.SetLabels(map[string]string{"longhornvolume": name})
	engine.Object["spec"] = map[string]any{
		"volumeName": name, "volumeSize": textAt(volume, "spec", "size"), "nodeID": "", "active": true, "dataEngine": "v1",
		"desireState": stopped, "frontend": "blockdev", "replicaAddressMap": map[string]any{},
	}
	engine.Object["status"] = map[string]any{
		"currentState": stopped, "replicaModeMap": map[string]any{}, "rebuildStatus": map[string]any{},
		"currentReplicaAddressMap": map[string]any{}, "instanceManagerName": "",
	}
	if err := c.longhorn.create(ctx, engineKind, engine); err != nil {
		return nil, err
	}
	created, err := c.longhorn.get(ctx, s.namespace, engineKind, engineName(name))
	if err != nil {
		return nil, err
	}
	if created == nil {
		return nil, fmt.Errorf("engine of Longhorn's volume %s is gone", name)
	}
	s.engines[name] = created
	return created, nil
}

func sizeOf(replica *unstructured.Unstructured) int64 {
	size, err := strconv.ParseInt(textAt(replica, "spec", "volumeSize"), 10, 64)
	if err != nil {
		return 0
	}
	return size
}

func failed(replica *unstructured.Unstructured) bool {
	return textAt(replica, "spec", "failedAt") != ""
}

// good says whether the replica has all data, as far as Longhorn knows.
func good(replica *unstructured.Unstructured) bool {
	return !failed(replica) && textAt(replica, "spec", "healthyAt") != ""
}

// fresh says whether the replica is there to be filled.
func fresh(replica *unstructured.Unstructured) bool {
	return !failed(replica) && textAt(replica, "spec", "healthyAt") == ""
}

func evicting(replica *unstructured.Unstructured) bool {
	return truthAt(replica, "spec", "evictionRequested")
}

func count(replicas []*unstructured.Unstructured, which func(*unstructured.Unstructured) bool) int {
	number := 0
	for _, replica := range replicas {
		if which(replica) {
			number++
		}
	}
	return number
}

// address is where the engine reaches the replica: the address of its instance manager's pod and a port of its own.
func (c *standIn) address(s *state, replica *unstructured.Unstructured) (string, int64) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(replica.GetName())) // a hash never fails to write
	address := ""
	if pod, err := c.cache.podLister.Pods(s.namespace).Get(instanceName(textAt(replica, "spec", "nodeID"))); err == nil {
		address = pod.Status.PodIP
	}
	return address, 10000 + int64(hash.Sum32()%1000)*10
}
