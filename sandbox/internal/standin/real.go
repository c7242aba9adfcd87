package standin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
)

// On real nodes there are processes and files behind Longhorn's objects, and what they say counts. This file is the way to them:
// the instance manager in a pod of each node, which this program reaches as the original's managers do, over the network. A node
// that is cut off does not answer, whatever still runs there.

const (
	// rebuildRate is how much of a replica is copied in a second: what replicas of clouds' disks reach at least (cluster/roll.go).
	rebuildRate = 60 << 20
	// endPatience is how long an engine may take to let go of its device once nothing has it mounted.
	endPatience = 3 * time.Second
)

// errStarting is for an engine that does not serve its device yet.
var errStarting = errors.New("its engine is starting")

// errSilent is for a node whose instance manager does not answer: nobody knows what runs there.
var errSilent = errors.New("its instance manager does not answer")

// seen is what an instance manager has told in this round.
type seen struct {
	instances imclient.Instances
	err       error
}

// realNode says whether processes run on the node.
func (c *standIn) realNode(name string) bool {
	node, err := c.cache.nodes.Get(name)
	return err == nil && !simulated(node)
}

// processes is the way to the node's instance manager, which may not answer; nil if none runs.
func (c *standIn) processes(s *state, node string) *imclient.Client {
	pod := c.instancePod(s, node)
	if pod == nil || !podReady(pod) || pod.Status.PodIP == "" {
		return nil
	}
	return c.dial(pod.Status.PodIP)
}

// look asks the node's instance manager what it has, once in a round.
func (c *standIn) look(ctx context.Context, s *state, node string) (imclient.Instances, error) {
	if known, asked := s.seen[node]; asked {
		return known.instances, known.err
	}
	answer := seen{err: fmt.Errorf("node %s: %w", node, errSilent)}
	if manager := c.processes(s, node); manager != nil {
		if instances, err := manager.List(ctx); err == nil {
			answer = seen{instances: instances}
		}
	}
	s.seen[node] = answer
	return answer.instances, answer.err
}

// startProcesses starts the volume's replicas and its engine on the node. A replica that was left running is started anew: one
// engine at a time may have it open, and this one asks nobody whether they are the same (longhorn-real.md, "Silent corruption").
func (c *standIn) startProcesses(ctx context.Context, s *state, volume *unstructured.Unstructured, node string) error {
	if !c.realNode(node) {
		return nil
	}
	name, addresses := volume.GetName(), map[string]string{}
	for _, replica := range s.replicas[name] {
		if failed(replica) {
			continue
		}
		address, err := c.startReplica(ctx, s, replica)
		if err != nil {
			c.log.Warn("replica does not start", "replica", replica.GetName(), "error", err)
			c.fail(replica)
			continue
		}
		addresses[replica.GetName()] = address
	}
	manager := c.processes(s, node)
	if manager == nil {
		return fmt.Errorf("start engine of volume %s: node %s: %w", name, node, errSilent)
	}
	delete(s.seen, node)
	_, err := manager.StartEngine(ctx, imclient.StartEngine{
		Name: engineName(name), Volume: name, Size: bytesOf(volume), Replicas: addresses, ReplicaTimeout: replicaTimeout(s),
	})
	if err != nil {
		return fmt.Errorf("start engine of volume %s: %w", name, err)
	}
	return nil
}

// startReplica starts a replica's process anew and notes where it is.
func (c *standIn) startReplica(ctx context.Context, s *state, replica *unstructured.Unstructured) (address string, err error) {
	node := textAt(replica, "spec", "nodeID")
	manager, pod := c.processes(s, node), c.instancePod(s, node)
	if manager == nil {
		return "", fmt.Errorf("node %s: %w", node, errSilent)
	}
	if err := manager.StopReplica(ctx, replica.GetName()); err != nil && !errors.Is(err, imclient.ErrNotFound) {
		return "", err
	}
	started, err := manager.StartReplica(ctx, imclient.StartReplica{
		Name: replica.GetName(), Directory: textAt(replica, "spec", "diskPath"), Size: sizeOf(replica),
	})
	if err != nil {
		return "", err
	}
	delete(s.seen, node)
	put(replica, pod.Status.PodIP, "status", "ip")
	put(replica, int64(started.Port), "status", "port")
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(started.Port)), nil
}

func bytesOf(volume *unstructured.Unstructured) int64 {
	size, err := strconv.ParseInt(textAt(volume, "spec", "size"), 10, 64)
	if err != nil {
		return 0
	}
	return size
}

// runs returns the volume's engine on the node, and nil if there is none. An error says that nobody knows.
func (c *standIn) runs(ctx context.Context, s *state, volume, node string) (*imclient.Engine, error) {
	instances, err := c.look(ctx, s, node)
	if err != nil {
		return nil, err
	}
	for i := range instances.Engines {
		if instances.Engines[i].Name == engineName(volume) {
			return &instances.Engines[i], nil
		}
	}
	return nil, nil
}

// examineReal takes over what the engine says of its replicas. It reports false when the engine has ended.
func (c *standIn) examineReal(ctx context.Context, s *state, volume *unstructured.Unstructured) (alive bool, err error) {
	name, node := volume.GetName(), textAt(volume, "status", "currentNodeID")
	process, err := c.runs(ctx, s, name, node)
	if err != nil {
		return true, err
	}
	if process == nil || process.State == imclient.Failed {
		return false, nil
	}
	if process.State != imclient.Running {
		return true, errStarting
	}
	if wanted := bytesOf(volume); process.Size < wanted {
		if _, err := c.processes(s, node).Expand(ctx, engineName(name), wanted); err != nil {
			return true, fmt.Errorf("grow volume %s: %w", name, err)
		}
	}
	for _, replica := range s.replicas[name] {
		if failed(replica) {
			continue
		}
		if err := c.examineReplica(ctx, s, volume, replica, process); err != nil {
			return true, err
		}
	}
	return true, nil
}

// examineReplica follows what the engine has found out about one replica.
func (c *standIn) examineReplica(ctx context.Context, s *state, volume, replica *unstructured.Unstructured, process *imclient.Engine) error {
	at := slices.IndexFunc(process.Replicas, func(one engine.ReplicaStatus) bool { return one.Name == replica.GetName() })
	switch {
	case at < 0 && fresh(replica):
		c.start(s, replica)
		return c.beginRebuild(ctx, s, volume, replica)
	case at < 0 || process.Replicas[at].Mode == engine.Failed:
		c.log.Info("replica is lost", "replica", replica.GetName())
		c.fail(replica)
		return c.forgetReplica(ctx, s, volume, replica)
	case process.Replicas[at].Mode == engine.ReadWrite:
		c.start(s, replica)
		if fresh(replica) {
			c.complete(replica)
		}
	}
	return nil
}

// beginRebuild has the engine fill a replica. While its node does not answer, nothing begins.
func (c *standIn) beginRebuild(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) error {
	address, err := c.startReplica(ctx, s, replica)
	if err != nil {
		c.log.Warn("replica does not start", "replica", replica.GetName(), "error", err)
		c.fail(replica)
		return nil
	}
	takes, err := c.rebuildTakes(ctx, s, volume)
	if err != nil {
		return err
	}
	rate := int64(rebuildRate)
	if takes != rebuildTime { // somebody wants it to take a while
		rate = max(bytesOf(volume)/int64(takes/time.Second), 1<<20)
	}
	node := textAt(volume, "status", "currentNodeID")
	_, err = c.processes(s, node).AddReplica(ctx, engineName(volume.GetName()), imclient.AddReplica{
		Name: replica.GetName(), Address: address, BytesPerSecond: rate,
	})
	if err != nil {
		return fmt.Errorf("rebuild replica %s: %w", replica.GetName(), err)
	}
	return nil
}

// forgetReplica makes the engine forget a replica, so that it can be taken in again.
func (c *standIn) forgetReplica(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) error {
	manager := c.processes(s, textAt(volume, "status", "currentNodeID"))
	if manager == nil {
		return nil
	}
	err := manager.RemoveReplica(ctx, engineName(volume.GetName()), replica.GetName())
	if err != nil && !errors.Is(err, imclient.ErrNotFound) {
		return fmt.Errorf("forget replica %s: %w", replica.GetName(), err)
	}
	return nil
}

// rebuilt says how far the engine has filled the replica, in percent.
func (c *standIn) rebuilt(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) int {
	process, err := c.runs(ctx, s, volume.GetName(), textAt(volume, "status", "currentNodeID"))
	if err != nil || process == nil {
		return 0
	}
	for _, one := range process.Replicas {
		if one.Name == replica.GetName() && one.Rebuild != nil {
			return one.Rebuild.Progress
		}
	}
	return 0
}

// stopProcesses ends the engine and the replicas of a volume that nobody uses. Of a node that is down Longhorn assumes that they
// have ended, which is not the same ("stopped is assumed, not known", longhorn-real.md), but tells them to if they can be reached:
// where only the kubelet had ended, it stopped them (the same table, run 5). A node that merely does not answer yet is waited for.
func (c *standIn) stopProcesses(ctx context.Context, s *state, volume, process *unstructured.Unstructured) error {
	node := textAt(process, "spec", "nodeID")
	if node == "" || !c.realNode(node) {
		return nil
	}
	if err := c.endEngine(ctx, s, volume.GetName(), node); err != nil {
		return err
	}
	for _, replica := range s.replicas[volume.GetName()] {
		if manager := c.processes(s, textAt(replica, "spec", "nodeID")); manager != nil {
			// A node that does not answer keeps its process; the next start replaces it.
			_ = manager.StopReplica(ctx, replica.GetName())
		}
	}
	return nil
}

// endEngine ends the engine of a volume and waits for its end: one whose replicas are stopped before goes on with the one beside it.
func (c *standIn) endEngine(ctx context.Context, s *state, volume, node string) error {
	pod := c.instancePod(s, node)
	down, err := c.down(node)
	if err != nil || pod == nil || pod.Status.PodIP == "" || !down && !podReady(pod) {
		return err // its instance manager is gone, and every process with it
	}
	defer delete(s.seen, node)
	err = stopEngine(ctx, c.dial(pod.Status.PodIP), engineName(volume))
	if err != nil && down {
		c.log.Warn("an engine is taken for stopped, because its node is down", "volume", volume, "node", node, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("end engine of volume %s on node %s: %w", volume, node, err)
	}
	return nil
}

// stopEngine returns once the engine is gone.
func stopEngine(ctx context.Context, manager *imclient.Client, name string) error {
	if err := manager.StopEngine(ctx, name); err != nil && !errors.Is(err, imclient.ErrNotFound) {
		return err
	}
	for deadline := time.Now().Add(endPatience); ; time.Sleep(100 * time.Millisecond) {
		left, err := manager.List(ctx)
		if err != nil || !slices.ContainsFunc(left.Engines, func(e imclient.Engine) bool { return e.Name == name }) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it has not ended within %s", endPatience)
		}
	}
}

// deleteFiles removes a replica's files. Those on a node that does not answer stay there, as orphans.
func (c *standIn) deleteFiles(ctx context.Context, s *state, replica *unstructured.Unstructured) {
	node := textAt(replica, "spec", "nodeID")
	manager := c.processes(s, node)
	if manager == nil || !c.realNode(node) {
		return
	}
	err := manager.DeleteReplica(ctx, textAt(replica, "spec", "diskPath"), replica.GetName())
	if err != nil && !errors.Is(err, imclient.ErrNotFound) {
		c.log.Warn("files of a replica stay", "replica", replica.GetName(), "node", node, "error", err)
	}
}

// diskKey names a disk of a node.
func diskKey(node, path string) string { return node + "\n" + path }

// measure asks a real node for its disk. While nobody answers the last answer holds.
func (c *standIn) measure(ctx context.Context, s *state, node *corev1.Node, path string) {
	if simulated(node) {
		return
	}
	manager := c.processes(s, node.Name)
	if manager == nil {
		return
	}
	if _, err := c.look(ctx, s, node.Name); err != nil {
		return // not a second time in this round
	}
	if disk, err := manager.Disk(ctx, path); err == nil {
		c.disks.Store(diskKey(node.Name, path), disk)
	}
}

// diskUUID is the identity of what the node has under the path; empty if that is not known yet.
func (c *standIn) diskUUID(node *corev1.Node, path string) string {
	if simulated(node) {
		return machineDisk(node, path)
	}
	disk, _ := c.diskOf(node.Name, path)
	return disk.UUID
}

func (c *standIn) diskOf(node, path string) (imclient.Disk, bool) {
	value, known := c.disks.Load(diskKey(node, path))
	disk, ok := value.(imclient.Disk)
	return disk, known && ok
}

// jobPort is where the uninstaller's container waits for what becomes of it (datapath/roles).
const jobPort = 9599

// endReal ends the uninstaller's container on a real node.
func endReal(ctx context.Context, pod *corev1.Pod, code int32) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://%s/v1/end?code=%d", net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(jobPort)), code)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return fmt.Errorf("end pod %s: %w", pod.Name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("end pod %s: %w", pod.Name, err)
	}
	return response.Body.Close()
}
