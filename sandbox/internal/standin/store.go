package standin

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// store reads and writes Longhorn's own resources. They are not watched: their definitions come and go with the chart.
type store struct {
	client dynamic.Interface
}

// Kinds of Longhorn resources that are played here, by plural name.
const (
	settings        = "settings"
	longhornNodes   = "nodes"
	longhornVolumes = "volumes"
	replicaKind     = "replicas"
	engineKind      = "engines"
	instanceKind    = "instancemanagers"

	snapshotKind     = "snapshots"
	backupKind       = "backups"
	backupVolumeKind = "backupvolumes"
	targetKind       = "backuptargets"
	jobKind          = "recurringjobs"
	orphanKind       = "orphans"
)

// backupKinds are those that come and go with snapshots, backups and what is left over.
func backupKinds() []string {
	return []string{snapshotKind, backupKind, backupVolumeKind, targetKind, jobKind, orphanKind}
}

func kindOf(plural string) string {
	switch plural {
	case settings:
		return "Setting"
	case longhornNodes:
		return "Node"
	case replicaKind:
		return "Replica"
	case engineKind:
		return "Engine"
	case instanceKind:
		return "InstanceManager"
	case snapshotKind:
		return "Snapshot"
	case backupKind:
		return "Backup"
	case backupVolumeKind:
		return "BackupVolume"
	case targetKind:
		return "BackupTarget"
	case jobKind:
		return "RecurringJob"
	case orphanKind:
		return "Orphan"
	default:
		return "Volume"
	}
}

func (s *store) resource(namespace, plural string) dynamic.ResourceInterface {
	group := schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: plural}
	return s.client.Resource(group).Namespace(namespace)
}

func newObject(namespace, plural, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kindOf(plural))
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

// get returns nil if there is no such object, or no such kind because Longhorn is not installed.
func (s *store) get(ctx context.Context, namespace, plural, name string) (*unstructured.Unstructured, error) {
	object, err := s.resource(namespace, plural).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // absence is an answer here
	}
	if err != nil {
		return nil, fmt.Errorf("read Longhorn's %s %s: %w", kindOf(plural), name, err)
	}
	return object, nil
}

func (s *store) list(ctx context.Context, namespace, plural string) ([]unstructured.Unstructured, error) {
	list, err := s.resource(namespace, plural).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list Longhorn's %s: %w", plural, err)
	}
	return list.Items, nil
}

// create writes a new object with its status; one that is there already stays as it is.
func (s *store) create(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	status, hasStatus := object.Object["status"]
	created, err := s.resource(object.GetNamespace(), plural).Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create Longhorn's %s %s: %w", kindOf(plural), object.GetName(), err)
	}
	if !hasStatus {
		return nil
	}
	created.Object["status"] = status // the API server drops it from a create
	return s.updateStatus(ctx, plural, created)
}

func (s *store) update(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	_, err := s.resource(object.GetNamespace(), plural).Update(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update Longhorn's %s %s: %w", kindOf(plural), object.GetName(), err)
	}
	return nil
}

func (s *store) updateStatus(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	_, err := s.resource(object.GetNamespace(), plural).UpdateStatus(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update status of Longhorn's %s %s: %w", kindOf(plural), object.GetName(), err)
	}
	return nil
}

// save writes what differs between an object as it was read and as it should be, the status last.
func (s *store) save(ctx context.Context, plural string, before, after *unstructured.Unstructured) error {
	status := after.Object["status"]
	if !apiequality.Semantic.DeepEqual(withoutStatus(before), withoutStatus(after)) {
		updated, err := s.resource(after.GetNamespace(), plural).Update(ctx, after, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("update Longhorn's %s %s: %w", kindOf(plural), after.GetName(), err)
		}
		after.SetResourceVersion(updated.GetResourceVersion())
	}
	if apiequality.Semantic.DeepEqual(before.Object["status"], status) {
		return nil
	}
	after.Object["status"] = status
	updated, err := s.resource(after.GetNamespace(), plural).UpdateStatus(ctx, after, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update status of Longhorn's %s %s: %w", kindOf(plural), after.GetName(), err)
	}
	after.SetResourceVersion(updated.GetResourceVersion())
	return nil
}

func withoutStatus(object *unstructured.Unstructured) map[string]any {
	fields := maps.Clone(object.Object)
	delete(fields, "status")
	return fields
}

// remove deletes an object of Longhorn's, its finalizer first, as Longhorn does when it has cleaned up behind it.
func (s *store) remove(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	if len(object.GetFinalizers()) > 0 {
		object.SetFinalizers(nil)
		if err := s.update(ctx, plural, object); err != nil {
			return err
		}
	}
	err := s.resource(object.GetNamespace(), plural).Delete(ctx, object.GetName(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Longhorn's %s %s: %w", kindOf(plural), object.GetName(), err)
	}
	return nil
}

// delete asks for an object's end; its finalizer keeps it until Longhorn has cleaned up behind it.
func (s *store) delete(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	err := s.resource(object.GetNamespace(), plural).Delete(ctx, object.GetName(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Longhorn's %s %s: %w", kindOf(plural), object.GetName(), err)
	}
	return nil
}

// setting returns the value of a Longhorn setting, and its built-in default if there is no such object.
func (s *store) setting(ctx context.Context, namespace, name string) (string, error) {
	object, err := s.get(ctx, namespace, settings, name)
	if err != nil {
		return "", err
	}
	if object == nil {
		return defaultOf(name), nil
	}
	value, _, err := unstructured.NestedString(object.Object, "value")
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	return value, nil
}

func (s *store) boolSetting(ctx context.Context, namespace, name string) (bool, error) {
	value, err := s.setting(ctx, namespace, name)
	if err != nil {
		return false, err
	}
	parsed, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("setting %s: %w", name, err)
	}
	return parsed, nil
}
