package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// state is what Longhorn knows at one moment. The functions that act on it write their changes to the cluster and to
// the state.
type state struct {
	namespace string
	settings  map[string]string
	volumes   []*unstructured.Unstructured
	nodes     map[string]*unstructured.Unstructured
	// replicas by volume, in the order of their names.
	replicas map[string][]*unstructured.Unstructured
	// engines by volume.
	engines map[string]*unstructured.Unstructured
	// instances are the instance managers, by their names, and budgets what protects their pods.
	instances map[string]*unstructured.Unstructured
	budgets   map[string]*policyv1.PodDisruptionBudget
	// claimed are the replica directories that had an owner when the state was read, by disk and name: the disks were looked at then.
	claimed map[string]bool
	// others are the objects of backupKinds, by kind, in the order of their names.
	others map[string][]*unstructured.Unstructured
	// seen is what instance managers of real nodes have told in this round, by node.
	seen map[string]seen
}

// readState reads the state anew: nothing of Longhorn's is watched.
func (c *standIn) readState(ctx context.Context, namespace string) (*state, error) {
	lists := map[string][]unstructured.Unstructured{}
	for _, plural := range append(backupKinds(), settings, longhornNodes, longhornVolumes, replicaKind, engineKind, instanceKind) {
		var err error
		if lists[plural], err = c.longhorn.list(ctx, namespace, plural); err != nil {
			return nil, err
		}
	}
	s := &state{
		namespace: namespace,
		settings:  map[string]string{},
		nodes:     byName(lists[longhornNodes]),
		replicas:  map[string][]*unstructured.Unstructured{},
		engines:   map[string]*unstructured.Unstructured{},
		instances: byName(lists[instanceKind]),
		budgets:   map[string]*policyv1.PodDisruptionBudget{},
		claimed:   map[string]bool{},
		others:    map[string][]*unstructured.Unstructured{},
		seen:      map[string]seen{},
	}
	for _, plural := range backupKinds() {
		for i := range lists[plural] {
			s.others[plural] = append(s.others[plural], &lists[plural][i])
		}
		slices.SortFunc(s.others[plural], compareNames)
	}
	for i := range lists[settings] {
		s.settings[lists[settings][i].GetName()] = textAt(&lists[settings][i], "value")
	}
	for i := range lists[longhornVolumes] {
		s.volumes = append(s.volumes, &lists[longhornVolumes][i])
	}
	for i := range lists[replicaKind] {
		replica := &lists[replicaKind][i]
		volume := textAt(replica, "spec", "volumeName")
		s.replicas[volume] = append(s.replicas[volume], replica)
		s.claimed[textAt(replica, "spec", "diskID")+"/"+textAt(replica, "spec", "dataDirectoryName")] = true
	}
	for _, replicas := range s.replicas {
		slices.SortFunc(replicas, compareNames)
	}
	for i := range lists[engineKind] {
		s.engines[textAt(&lists[engineKind][i], "spec", "volumeName")] = &lists[engineKind][i]
	}
	return s, c.readBudgets(ctx, s)
}

func (c *standIn) readBudgets(ctx context.Context, s *state) error {
	budgets, err := c.client.PolicyV1().PodDisruptionBudgets(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list budgets of instance managers: %w", err)
	}
	for i := range budgets.Items {
		if strings.HasPrefix(budgets.Items[i].Name, instancePrefix) {
			s.budgets[budgets.Items[i].Name] = &budgets.Items[i]
		}
	}
	return nil
}

func compareNames(a, b *unstructured.Unstructured) int {
	return strings.Compare(a.GetName(), b.GetName())
}

// find returns one of the others; nil if there is none of that name.
func (s *state) find(plural, name string) *unstructured.Unstructured {
	for _, object := range s.others[plural] {
		if object.GetName() == name {
			return object
		}
	}
	return nil
}

// add creates one of the others, in the cluster and in the state, and returns it as it is there.
func (c *standIn) add(ctx context.Context, s *state, plural string, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := c.longhorn.create(ctx, plural, object); err != nil {
		return nil, err
	}
	created, err := c.longhorn.get(ctx, s.namespace, plural, object.GetName())
	if err != nil {
		return nil, err
	}
	if created == nil {
		return nil, fmt.Errorf("longhorn's %s %s is gone", kindOf(plural), object.GetName())
	}
	s.others[plural] = append(s.others[plural], created)
	return created, nil
}

// drop removes one of the others for good, its finalizer first.
func (c *standIn) drop(ctx context.Context, s *state, plural string, object *unstructured.Unstructured) error {
	s.others[plural] = slices.DeleteFunc(slices.Clone(s.others[plural]), func(other *unstructured.Unstructured) bool {
		return other.GetName() == object.GetName()
	})
	return c.longhorn.remove(ctx, plural, object)
}

func byName(objects []unstructured.Unstructured) map[string]*unstructured.Unstructured {
	named := make(map[string]*unstructured.Unstructured, len(objects))
	for i := range objects {
		named[objects[i].GetName()] = &objects[i]
	}
	return named
}

// setting returns a setting's value, and its default if there is no such object.
func (s *state) setting(name string) string {
	if value, known := s.settings[name]; known {
		return value
	}
	return defaultOf(name)
}

func (s *state) truth(name string) bool { return s.setting(name) == "true" }

// seconds returns a setting as a time; nothing if it is not a number.
func (s *state) seconds(name string) time.Duration {
	number, err := strconv.Atoi(s.setting(name))
	if err != nil {
		return 0
	}
	return time.Duration(number) * time.Second
}

// replicasOn returns all replicas on the node, failed ones too.
func (s *state) replicasOn(node string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, replicas := range s.replicas {
		for _, replica := range replicas {
			if textAt(replica, "spec", "nodeID") == node {
				found = append(found, replica)
			}
		}
	}
	return found
}

// enginesOn says how many volumes are attached to the node.
func (s *state) enginesOn(node string) int {
	number := 0
	for _, engine := range s.engines {
		if textAt(engine, "spec", "nodeID") == node {
			number++
		}
	}
	return number
}

// addDataLoop plays what longhorn-manager does on every node for disks, replicas and instance managers. It looks again
// every second, because it watches nothing of Longhorn's.
func (c *standIn) addDataLoop() {
	c.loop("data", c.syncData).queue.Add("data")
}

func (c *standIn) syncData(ctx context.Context, _ string) (time.Duration, error) {
	c.managing.Lock()
	defer c.managing.Unlock()
	found, err := c.findInstallation()
	if err != nil || !found.manager {
		return retryTick, err
	}
	s, err := c.current(ctx, found.namespace)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, volume := range s.volumes {
		errs = append(errs, c.settle(ctx, s, volume, volume.DeepCopy()))
	}
	errs = append(errs, c.syncBudgets(ctx, s), c.syncSnapshots(ctx, s), c.syncBackups(ctx, s), c.syncJobs(ctx, s),
		c.syncOrphans(ctx, s))
	return retryTick, errors.Join(errs...)
}

// current returns the state after Longhorn has looked at its nodes.
func (c *standIn) current(ctx context.Context, namespace string) (*state, error) {
	s, err := c.readState(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return s, errors.Join(c.removeLeftovers(ctx, s), c.syncInstances(ctx, s), c.reportNodes(ctx, s))
}

// removeLeftovers lets go of what somebody deleted, and of what belongs to a volume that is gone.
func (c *standIn) removeLeftovers(ctx context.Context, s *state) error {
	volumes := map[string]bool{}
	for _, volume := range s.volumes {
		volumes[volume.GetName()] = true
	}
	for name, engine := range s.engines {
		if volumes[name] && engine.GetDeletionTimestamp() == nil {
			continue
		}
		if err := c.longhorn.remove(ctx, engineKind, engine); err != nil {
			return err
		}
		delete(s.engines, name)
	}
	for volume, replicas := range s.replicas {
		for _, replica := range slices.Clone(replicas) {
			if volumes[volume] && replica.GetDeletionTimestamp() == nil {
				continue
			}
			if err := c.removeReplica(ctx, s, replica); err != nil {
				return err
			}
		}
	}
	return c.removeDeletedNodes(ctx, s)
}

func (c *standIn) removeDeletedNodes(ctx context.Context, s *state) error {
	for name, node := range s.nodes {
		if node.GetDeletionTimestamp() == nil {
			continue
		}
		if err := c.longhorn.remove(ctx, longhornNodes, node); err != nil {
			return err
		}
		delete(s.nodes, name)
	}
	return nil
}
