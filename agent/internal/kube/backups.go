package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"ha-iris/agent/internal/backup"
)

// backupTimeout bounds each request of a backup: Longhorn's webhooks have a word in some of them.
const backupTimeout = 10 * time.Second

// BackupTarget is what one run backs up, and how its objects are marked.
type BackupTarget struct {
	// Namespace, Deployment, Claim and Container are the database's.
	Namespace, Deployment, Claim, Container string
	LonghornNamespace                       string
	// Owner is the stack's number and Stack its name, as on all of its objects (internal/owner).
	Owner, Stack string
	// ByHand marks the run's backup as one that somebody has asked for beside the schedule.
	ByHand bool
}

// The labels of a run's snapshots and backups. They are written into the backup too, and so come back with its object when Longhorn reads it from
// the target again (status.labels).
const (
	kindLabel      = "ha-iris/backup"
	kindConsistent = "consistent"
	namespaceLabel = "ha-iris/namespace"
	ownerLabel     = "ha-iris/owner"
	// byHandLabel is beside them: a backup with it is as much the stack's own, and not pruned.
	byHandLabel = "ha-iris/by-hand"
	byHand      = "true"
	// stackAnnotation is for people: a stack's name has characters that labels have not.
	stackAnnotation = "ha-iris/stack"
	// Longhorn's own labels of backups (longhorn-manager types/types.go); its webhook would set them.
	backupVolumeLabel = "backup-volume"
	backupTargetLabel = "backup-target"
)

// marks are the labels by which an object is this stack's.
func (t BackupTarget) marks() map[string]string {
	return map[string]string{kindLabel: kindConsistent, namespaceLabel: t.Namespace, ownerLabel: t.Owner}
}

func (t BackupTarget) owns(labels map[string]string) bool {
	for name, value := range t.marks() {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// Backups implements backup.Cluster.
type Backups struct {
	cluster *Cluster
	target  BackupTarget
	// deployment is the database's, once it was read: an event without its UID is not shown with it.
	deployment types.UID
}

// ConnectBackups prepares to ask an API server for a run. It asks nothing yet.
func ConnectBackups(kubeconfig, agent string, target BackupTarget) (*Backups, error) {
	cluster, err := connectWithin(kubeconfig, agent, backupTimeout)
	if err != nil {
		return nil, err
	}
	return NewBackups(cluster, target), nil
}

// NewBackups returns a run's view of a cluster.
func NewBackups(cluster *Cluster, target BackupTarget) *Backups {
	return &Backups{cluster: cluster, target: target}
}

func (b *Backups) longhorn(resource string) dynamic.ResourceInterface {
	return b.cluster.Dynamic.Resource(longhorn(resource)).Namespace(b.target.LonghornNamespace)
}

// named is an error about one object.
func named(what, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %s: %w", what, name, backup.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// Database implements backup.Cluster.
func (b *Backups) Database(ctx context.Context) (backup.Database, error) {
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	object, err := b.cluster.Dynamic.Resource(deployments).Namespace(b.target.Namespace).Get(ctx, b.target.Deployment, metav1.GetOptions{})
	if err != nil {
		return backup.Database{}, named("the Deployment", b.target.Namespace+"/"+b.target.Deployment, err)
	}
	b.deployment = object.GetUID()
	// One is what Kubernetes takes when nothing is given.
	found := backup.Database{Namespace: b.target.Namespace, Container: b.target.Container, Wanted: 1}
	if wanted, given, _ := unstructured.NestedInt64(object.Object, "spec", "replicas"); given {
		found.Wanted = wanted
	}
	list, err := b.cluster.Core.Pods(b.target.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return backup.Database{}, fmt.Errorf("the pods in %s: %w", b.target.Namespace, err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if ended || !uses(pod, b.target.Claim) {
			continue
		}
		found.Pods = append(found.Pods, backup.Pod{
			Name: pod.Name, UID: string(pod.UID), Container: containerID(pod, b.target.Container), Image: imageOf(pod, b.target.Container),
			Started: startOf(pod), Ready: podReady(pod) && pod.DeletionTimestamp.IsZero(),
		})
	}
	return found, nil
}

func containerID(pod *corev1.Pod, name string) string {
	for _, one := range pod.Status.ContainerStatuses {
		if one.Name == name {
			return one.ContainerID
		}
	}
	return ""
}

func imageOf(pod *corev1.Pod, name string) string {
	for _, one := range pod.Spec.Containers {
		if one.Name == name {
			return one.Image
		}
	}
	return ""
}

func startOf(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Time
}

// Volume implements backup.Cluster. Longhorn notes on its volume which claim it is for, so that nothing of the whole cluster need be read.
func (b *Backups) Volume(ctx context.Context) (backup.Volume, error) {
	list, err := b.longhorn("volumes").List(ctx, metav1.ListOptions{})
	if err != nil {
		return backup.Volume{}, fmt.Errorf("the volumes of Longhorn in %s: %w", b.target.LonghornNamespace, err)
	}
	var found []unstructured.Unstructured
	for _, object := range list.Items {
		status := func(field string) string { return text(object, "status", "kubernetesStatus", field) }
		// Of a claim that is gone Longhorn remembers the name, and when it was last seen.
		if status("namespace") == b.target.Namespace && status("pvcName") == b.target.Claim && status("lastPVCRefAt") == "" &&
			object.GetDeletionTimestamp() == nil {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		return backup.Volume{}, fmt.Errorf("the claim %s/%s has %d volumes of Longhorn, want one: %w", b.target.Namespace, b.target.Claim, len(found),
			backup.ErrNotFound)
	}
	target := text(found[0], "spec", "backupTargetName")
	if target == "" {
		target = "default"
	}
	return backup.Volume{
		Name: found[0].GetName(), State: text(found[0], "status", "state"), Robustness: text(found[0], "status", "robustness"), Target: target,
	}, nil
}

// Target implements backup.Cluster.
func (b *Backups) Target(ctx context.Context, name string) (backup.Target, error) {
	object, err := b.longhorn("backuptargets").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return backup.Target{}, named("the backup target", name, err)
	}
	available, _, _ := unstructured.NestedBool(object.Object, "status", "available")
	found := backup.Target{Name: name, URL: text(*object, "spec", "backupTargetURL"), Available: available}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		condition, _ := one.(map[string]any)
		if condition["type"] == "Unavailable" && condition["status"] == "True" {
			message, _ := condition["message"].(string)
			found.Reason = hidden(message)
		}
	}
	return found, nil
}

// object is a new one of Longhorn's with this stack's marks.
func (b *Backups) object(kind, name string, more map[string]string, spec map[string]any) *unstructured.Unstructured {
	labels, inside := b.target.marks(), map[string]any{}
	if b.target.ByHand {
		labels[byHandLabel] = byHand
	}
	for key, value := range labels {
		inside[key] = value
	}
	maps.Copy(labels, more)
	spec["labels"] = inside
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kind)
	object.SetNamespace(b.target.LonghornNamespace)
	object.SetName(name)
	object.SetLabels(labels)
	object.SetAnnotations(map[string]string{stackAnnotation: b.target.Stack})
	return object
}

func (b *Backups) create(ctx context.Context, resource string, object *unstructured.Unstructured) error {
	_, err := b.longhorn(resource).Create(ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s %s: %w", strings.ToLower(object.GetKind()), object.GetName(), err)
	}
	return nil
}

func (b *Backups) delete(ctx context.Context, resource, name, uid string) error {
	options, err := only(uid)
	if err == nil {
		err = b.longhorn(resource).Delete(ctx, name, options)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("delete %s of %s: %w", name, resource, err)
	}
	return nil
}

// CreateSnapshot implements backup.Cluster.
func (b *Backups) CreateSnapshot(ctx context.Context, name, volume string) error {
	return b.create(ctx, "snapshots", b.object("Snapshot", name, nil, map[string]any{"volume": volume, "createSnapshot": true}))
}

// Snapshot implements backup.Cluster.
func (b *Backups) Snapshot(ctx context.Context, name string) (backup.Snapshot, error) {
	object, err := b.longhorn("snapshots").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return backup.Snapshot{}, named("snapshot", name, err)
	}
	return snapshotOf(object), nil
}

func snapshotOf(object *unstructured.Unstructured) backup.Snapshot {
	return backup.Snapshot{
		Name: object.GetName(), UID: string(object.GetUID()), Asked: object.GetCreationTimestamp().Time,
		Cut: text(*object, "status", "creationTime") != "", Error: hidden(text(*object, "status", "error")),
	}
}

// Snapshots implements backup.Cluster.
func (b *Backups) Snapshots(ctx context.Context, volume string) ([]backup.Snapshot, error) {
	list, err := b.longhorn("snapshots").List(ctx, metav1.ListOptions{LabelSelector: selector(b.target.marks())})
	if err != nil {
		return nil, fmt.Errorf("the snapshots of Longhorn in %s: %w", b.target.LonghornNamespace, err)
	}
	var found []backup.Snapshot
	for i := range list.Items {
		object := &list.Items[i]
		if object.GetDeletionTimestamp() == nil && text(*object, "spec", "volume") == volume && b.target.owns(object.GetLabels()) {
			found = append(found, snapshotOf(object))
		}
	}
	return found, nil
}

func selector(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, ",")
}

// DeleteSnapshot implements backup.Cluster.
func (b *Backups) DeleteSnapshot(ctx context.Context, one backup.Snapshot) error {
	return b.delete(ctx, "snapshots", one.Name, one.UID)
}

// CreateBackup implements backup.Cluster.
func (b *Backups) CreateBackup(ctx context.Context, name, snapshot, volume, target string) error {
	labels := map[string]string{backupVolumeLabel: volume, backupTargetLabel: target}
	return b.create(ctx, "backups", b.object("Backup", name, labels, map[string]any{"snapshotName": snapshot}))
}

// Backup implements backup.Cluster.
func (b *Backups) Backup(ctx context.Context, name string) (backup.Backup, error) {
	object, err := b.longhorn("backups").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return backup.Backup{}, named("backup", name, err)
	}
	return backupOf(object), nil
}

func backupOf(object *unstructured.Unstructured) backup.Backup {
	stored, _, _ := unstructured.NestedStringMap(object.Object, "status", "labels")
	progress, _, _ := unstructured.NestedInt64(object.Object, "status", "progress")
	found := backup.Backup{
		Name: object.GetName(), UID: string(object.GetUID()), Snapshot: text(*object, "spec", "snapshotName"),
		State: text(*object, "status", "state"), Progress: progress, Message: hidden(text(*object, "status", "error")),
		Created: object.GetCreationTimestamp().Time, ByHand: object.GetLabels()[byHandLabel] == byHand || stored[byHandLabel] == byHand,
	}
	if found.Snapshot == "" { // One that Longhorn has read from the target.
		found.Snapshot = text(*object, "status", "snapshotName")
	}
	if at, err := time.Parse(time.RFC3339, text(*object, "status", "backupCreatedAt")); err == nil {
		found.Created = at
	}
	if found.Message == "" {
		messages, _, _ := unstructured.NestedStringMap(object.Object, "status", "messages")
		found.Message = strings.Join(slices.Sorted(maps.Values(messages)), ", ")
	}
	if object.GetDeletionTimestamp() != nil {
		found.State = backup.StateDeleting
	}
	return found
}

// Backups implements backup.Cluster.
func (b *Backups) Backups(ctx context.Context, volume string) ([]backup.Backup, error) {
	list, err := b.longhorn("backups").List(ctx, metav1.ListOptions{LabelSelector: backupVolumeLabel + "=" + volume})
	if err != nil {
		return nil, fmt.Errorf("the backups of Longhorn in %s: %w", b.target.LonghornNamespace, err)
	}
	var found []backup.Backup
	for i := range list.Items {
		object := &list.Items[i]
		stored, _, _ := unstructured.NestedStringMap(object.Object, "status", "labels")
		if b.target.owns(object.GetLabels()) || b.target.owns(stored) {
			found = append(found, backupOf(object))
		}
	}
	return found, nil
}

// DeleteBackup implements backup.Cluster.
func (b *Backups) DeleteBackup(ctx context.Context, one backup.Backup) error {
	return b.delete(ctx, "backups", one.Name, one.UID)
}

// Report implements backup.Cluster.
func (b *Backups) Report(ctx context.Context, event backup.Event) error {
	return b.report(ctx, "backup", event)
}

// report writes an event on the Deployment, of a part of the agent. It is written at once and not by a recorder in the background: the process
// ends with it.
func (b *Backups) report(ctx context.Context, part string, event backup.Event) error {
	kind := corev1.EventTypeNormal
	if event.Warning {
		kind = corev1.EventTypeWarning
	}
	now := metav1.Now()
	if len(event.Message) > maxMessage {
		event.Message = strings.ToValidUTF8(event.Message[:maxMessage-4], "") + " ..."
	}
	_, err := b.cluster.Core.Events(b.target.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.target.Namespace, Name: b.target.Deployment + "." + part + "-" + strconv.FormatInt(now.UnixNano(), 16),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "apps/v1", Kind: "Deployment", Namespace: b.target.Namespace, Name: b.target.Deployment, UID: b.deployment,
		},
		Reason: event.Reason, Message: event.Message, Type: kind, Source: corev1.EventSource{Component: "ha-iris-" + part},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("an event on the Deployment %s/%s: %w", b.target.Namespace, b.target.Deployment, err)
	}
	return err
}
