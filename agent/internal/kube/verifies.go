package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"ha-iris/agent/internal/backup"
	"ha-iris/agent/internal/verify"
)

// VerifyTarget is whose backups one run verifies, and what its objects are called.
type VerifyTarget struct {
	// Database is whose backups are verified.
	Database BackupTarget
	// Template is the PodTemplate of the copy, Copy the name of its pod and claim, Class that of the class of its volume.
	Template, Copy, Class string
	// Results is the ConfigMap with what was found of each backup.
	Results string
	// Pod and PodUID are the run's own: with it Kubernetes collects what the run was not given the time to delete.
	Pod, PodUID string
}

const (
	verifyLabel   = "ha-iris/verify"
	verifyCopy    = "copy"
	verifyResults = "results"
	// runAnnotation has the UID of the pod of the run that has made an object.
	runAnnotation = "ha-iris/verify-run"
	// maxResults is how many backups' results are kept: more than there are weeks in which a backup is kept by default.
	maxResults = 20
	// maxMessage is how much of a message is kept, in bytes: what the API server takes of an event.
	maxMessage = 1024
)

// The copy's kinds, in the order in which they are deleted.
const (
	kindPod   = "Pod"
	kindClaim = "PersistentVolumeClaim"
	kindClass = "StorageClass"
)

// Verifies implements verify.Cluster.
type Verifies struct {
	cluster *Cluster
	// backups sees the database as the runs do that make backups of it.
	backups *Backups
	target  VerifyTarget
}

// ConnectVerifies prepares to ask an API server for a run. It asks nothing yet.
func ConnectVerifies(kubeconfig, agent string, target VerifyTarget) (*Verifies, error) {
	cluster, err := connectWithin(kubeconfig, agent, backupTimeout)
	if err != nil {
		return nil, err
	}
	return NewVerifies(cluster, target), nil
}

// NewVerifies returns a run's view of a cluster.
func NewVerifies(cluster *Cluster, target VerifyTarget) *Verifies {
	return &Verifies{cluster, NewBackups(cluster, target.Database), target}
}

// Database implements verify.Cluster.
func (v *Verifies) Database(ctx context.Context) (backup.Database, error) {
	return v.backups.Database(ctx)
}

// Volume implements verify.Cluster.
func (v *Verifies) Volume(ctx context.Context) (backup.Volume, error) { return v.backups.Volume(ctx) }

// marks are the labels by which an object is of this stack's verification.
func (v *Verifies) marks(what string) map[string]string {
	database := v.target.Database
	return map[string]string{verifyLabel: what, namespaceLabel: database.Namespace, ownerLabel: database.Owner}
}

func (v *Verifies) owns(what string, labels map[string]string) bool {
	for name, value := range v.marks(what) {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// about is the metadata of an object of the copy.
func (v *Verifies) about(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Labels: v.marks(verifyCopy),
		Annotations: map[string]string{runAnnotation: v.target.PodUID, stackAnnotation: v.target.Database.Stack},
	}
}

// within is about in the database's namespace, where Kubernetes collects it with the run's pod. What has no namespace cannot be collected so.
func (v *Verifies) within(name string) metav1.ObjectMeta {
	about := v.about(name)
	about.Namespace = v.target.Database.Namespace
	about.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: kindPod, Name: v.target.Pod, UID: types.UID(v.target.PodUID)}}
	return about
}

func (v *Verifies) objectOf(kind string, about metav1.ObjectMeta) verify.Object {
	return verify.Object{
		Kind: kind, Namespace: about.Namespace, Name: about.Name, UID: string(about.UID), Ours: v.owns(verifyCopy, about.Labels),
		Run: about.Annotations[runAnnotation], Deleting: about.DeletionTimestamp != nil,
	}
}

// Objects implements verify.Cluster.
func (v *Verifies) Objects(ctx context.Context) ([]verify.Object, error) {
	var found []verify.Object
	pod, err := v.pod(ctx)
	if err != nil {
		return nil, err
	}
	if pod != nil {
		found = append(found, v.objectOf(kindPod, pod.ObjectMeta))
	}
	claim, err := v.cluster.Core.PersistentVolumeClaims(v.target.Database.Namespace).Get(ctx, v.target.Copy, metav1.GetOptions{})
	switch {
	case err == nil:
		found = append(found, v.objectOf(kindClaim, claim.ObjectMeta))
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the claim %s/%s: %w", v.target.Database.Namespace, v.target.Copy, err)
	}
	class, err := v.cluster.Storage.StorageClasses().Get(ctx, v.target.Class, metav1.GetOptions{})
	switch {
	case err == nil:
		found = append(found, v.objectOf(kindClass, class.ObjectMeta))
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the class %s: %w", v.target.Class, err)
	}
	return found, nil
}

// pod is the copy's, or nil.
func (v *Verifies) pod(ctx context.Context) (*corev1.Pod, error) {
	pods, err := v.pods(ctx)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(pods, func(one corev1.Pod) bool { return one.Name == v.target.Copy }); at >= 0 {
		return &pods[at], nil
	}
	return nil, nil
}

func (v *Verifies) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := v.cluster.Core.Pods(v.target.Database.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the pods in %s: %w", v.target.Database.Namespace, err)
	}
	return list.Items, nil
}

// Running implements verify.Cluster.
func (v *Verifies) Running(ctx context.Context, run string) (bool, error) {
	pods, err := v.pods(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(pods, func(one corev1.Pod) bool {
		// Of a lost node's pods nobody says that they have ended before the node is back. The time of a deletion has the grace period in it, after
		// which the kubelet has killed what there was, if it can do anything at all; what cannot reach the API server deletes and makes nothing.
		overdue := one.DeletionTimestamp != nil && one.DeletionTimestamp.Time.Before(time.Now())
		return string(one.UID) == run && one.Status.Phase != corev1.PodSucceeded && one.Status.Phase != corev1.PodFailed && !overdue
	}), nil
}

// copies are Longhorn's volumes of the copy's claim. Of a claim that is gone Longhorn remembers the name.
func (v *Verifies) copies(ctx context.Context) ([]unstructured.Unstructured, error) {
	database := v.target.Database
	list, err := v.backups.longhorn("volumes").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the volumes of Longhorn in %s: %w", database.LonghornNamespace, err)
	}
	return slices.DeleteFunc(list.Items, func(one unstructured.Unstructured) bool {
		return text(one, "status", "kubernetesStatus", "namespace") != database.Namespace ||
			text(one, "status", "kubernetesStatus", "pvcName") != v.target.Copy
	}), nil
}

// Volumes implements verify.Cluster.
func (v *Verifies) Volumes(ctx context.Context) ([]string, error) {
	found, err := v.copies(ctx)
	var names []string
	for _, one := range found {
		names = append(names, one.GetName())
	}
	return names, err
}

// Delete implements verify.Cluster.
func (v *Verifies) Delete(ctx context.Context, one verify.Object) error {
	options, err := only(one.UID)
	if err == nil && !one.Ours {
		err = fmt.Errorf("%w: it has not the marks of this stack's verification", verify.ErrTaken)
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", one, err)
	}
	namespace := v.target.Database.Namespace
	switch one.Kind {
	case kindPod:
		err = v.cluster.Core.Pods(namespace).Delete(ctx, one.Name, options)
	case kindClaim:
		err = v.cluster.Core.PersistentVolumeClaims(namespace).Delete(ctx, one.Name, options)
	case kindClass:
		err = v.cluster.Storage.StorageClasses().Delete(ctx, one.Name, options)
	default:
		return fmt.Errorf("delete %s: it is nothing of the copy's", one)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("delete %s: %w", one, err)
	}
	return nil
}

// made judges the error of a creation: the object that is there may be this run's own, whose answer was lost.
func (v *Verifies) made(ctx context.Context, kind string, err error) error {
	if err == nil || !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("create the copy's %s: %w", kind, err)
		}
		return nil
	}
	objects, look := v.Objects(ctx)
	if look != nil {
		return look
	}
	for _, one := range objects {
		if one.Kind == kind && (!one.Ours || one.Run != v.target.PodUID) {
			return fmt.Errorf("create the copy's %s: %w: %s", kind, verify.ErrTaken, one)
		}
	}
	return nil
}

// CreateClass implements verify.Cluster. Longhorn fills a volume from the backup that its class names (longhorn-manager csi/util.go,
// getVolumeOptions). One replica is enough for a copy, whose volume is deleted with its claim.
func (v *Verifies) CreateClass(ctx context.Context, of verify.Backup) error {
	reclaim, binding := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate
	_, err := v.cluster.Storage.StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta: v.about(v.target.Class), Provisioner: longhornDriver, ReclaimPolicy: &reclaim, VolumeBindingMode: &binding,
		Parameters: map[string]string{
			"fromBackup": of.URL, "numberOfReplicas": "1", "dataLocality": "disabled", "staleReplicaTimeout": "30", "fsType": "ext4",
		},
	}, metav1.CreateOptions{})
	return v.made(ctx, kindClass, err)
}

// CreateClaim implements verify.Cluster. The size is the backup's volume's: Longhorn makes no other, whatever is asked for (longhorn-manager
// webhook/resources/volume/mutator.go).
func (v *Verifies) CreateClaim(ctx context.Context, of verify.Backup) error {
	mode, class := corev1.PersistentVolumeFilesystem, v.target.Class
	_, err := v.cluster.Core.PersistentVolumeClaims(v.target.Database.Namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: v.within(v.target.Copy),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, StorageClassName: &class, VolumeMode: &mode,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(of.Bytes, resource.BinarySI)},
			},
		},
	}, metav1.CreateOptions{})
	return v.made(ctx, kindClaim, err)
}

// CreatePod implements verify.Cluster.
func (v *Verifies) CreatePod(ctx context.Context) error {
	namespace := v.target.Database.Namespace
	template, err := v.cluster.Core.PodTemplates(namespace).Get(ctx, v.target.Template, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the PodTemplate %s/%s: %w", namespace, v.target.Template, err)
	}
	pod := &corev1.Pod{ObjectMeta: v.within(v.target.Copy), Spec: template.Template.Spec}
	labels := maps.Clone(template.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, pod.Labels)
	pod.Labels = labels
	_, err = v.cluster.Core.Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	return v.made(ctx, kindPod, err)
}

// Restored implements verify.Cluster.
func (v *Verifies) Restored(ctx context.Context) (verify.Restored, error) {
	namespace := v.target.Database.Namespace
	claim, err := v.cluster.Core.PersistentVolumeClaims(namespace).Get(ctx, v.target.Copy, metav1.GetOptions{})
	if err != nil {
		return verify.Restored{}, named("the claim", namespace+"/"+v.target.Copy, err)
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return verify.Restored{State: fmt.Sprintf("the copy's claim is %s: kubectl -n %s describe pvc %s", claim.Status.Phase, namespace, v.target.Copy)}, nil
	}
	found := verify.Restored{Bound: true}
	volumes, err := v.copies(ctx)
	if err != nil {
		return found, err
	}
	if len(volumes) != 1 {
		found.State = fmt.Sprintf("the copy's claim has %d volumes of Longhorn, want one", len(volumes))
		return found, nil
	}
	volume := volumes[0]
	conditions, _, _ := unstructured.NestedSlice(volume.Object, "status", "conditions")
	for _, one := range conditions {
		// Nothing tries again (longhorn-manager volume_controller.go, checkAndFinishVolumeRestore).
		if condition, _ := one.(map[string]any); condition["type"] == "Restore" && condition["reason"] == "RestoreFailure" {
			message, _ := condition["message"].(string)
			found.Failed = "Longhorn says: " + hidden(message)
		}
	}
	required, _, _ := unstructured.NestedBool(volume.Object, "status", "restoreRequired")
	// What is required is not known before it has begun (volume_controller.go, checkAndInitVolumeRestore).
	begun, _, _ := unstructured.NestedBool(volume.Object, "status", "restoreInitiated")
	found.Filled = begun && !required
	if found.Failed == "" {
		found.Lost = faulted(volumes)
	}
	found.State = fmt.Sprintf("Longhorn restores into volume %s (%s, %s)", volume.GetName(), text(volume, "status", "state"), text(volume, "status", "robustness"))
	return found, nil
}

// Pod implements verify.Cluster.
func (v *Verifies) Pod(ctx context.Context) (verify.Pod, error) {
	pod, err := v.pod(ctx)
	switch {
	case err != nil:
		return verify.Pod{}, err
	case pod == nil:
		return verify.Pod{}, fmt.Errorf("the pod %s/%s: %w", v.target.Database.Namespace, v.target.Copy, backup.ErrNotFound)
	}
	found := verify.Pod{
		Name: pod.Name, Image: imageOf(pod, v.target.Database.Container), Ready: podReady(pod) && pod.DeletionTimestamp.IsZero(),
		State: "the copy's pod is " + string(pod.Status.Phase),
	}
	for _, one := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		isIRIS := one.Name == v.target.Database.Container
		found.Started = found.Started || isIRIS && (one.State.Running != nil || one.State.Terminated != nil)
		if ended := one.State.Terminated; ended != nil && isIRIS {
			found.Ended = fmt.Sprintf("container %s, exit code %d, %s: %s", one.Name, ended.ExitCode, ended.Reason, ended.Message)
		}
		if waits := one.State.Waiting; waits != nil && waits.Reason != "" {
			found.State += fmt.Sprintf("; container %s: %s %s", one.Name, waits.Reason, waits.Message)
		}
	}
	for _, one := range pod.Status.Conditions {
		if one.Type == corev1.PodScheduled && one.Status == corev1.ConditionFalse {
			found.State += "; " + one.Message
		}
	}
	volumes, err := v.copies(ctx)
	if err != nil {
		return found, err
	}
	found.Lost = cmp.Or(faulted(volumes), lost(pod, v.target.Database.Container))
	return found, nil
}

// faulted says that a volume has lost its data. The copy's has one replica, so that it is lost with a node.
func faulted(volumes []unstructured.Unstructured) string {
	for _, one := range volumes {
		if text(one, "status", "robustness") == "faulted" {
			return fmt.Sprintf("Longhorn's volume %s is faulted: the disk or the node of its only replica is lost", one.GetName())
		}
	}
	return ""
}

// lost is why the end of a pod is not IRIS' doing. The kubelet and the API server give a pod that they end a reason (Evicted, NodeShutdown,
// Preempting, Terminated, OutOfmemory) or a condition, and its containers end with it; the reasons of a container are the kubelet's and
// containerd's. What runs before IRIS does not have the copy's volume.
func lost(pod *corev1.Pod, iris string) string {
	if pod.DeletionTimestamp != nil {
		return "the copy's pod was told to go: somebody deletes it, or its node is lost"
	}
	for _, one := range pod.Status.Conditions {
		if one.Type == corev1.DisruptionTarget && one.Status == corev1.ConditionTrue {
			return fmt.Sprintf("the copy's pod had to go: %s %s", one.Reason, one.Message)
		}
	}
	failed := pod.Status.Phase == corev1.PodFailed
	if failed && pod.Status.Reason != "" {
		return fmt.Sprintf("the copy's pod has failed: %s %s", pod.Status.Reason, pod.Status.Message)
	}
	irisEnded := false
	for _, one := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		ended := one.State.Terminated
		if ended == nil {
			continue
		}
		isIRIS := one.Name == iris
		irisEnded = irisEnded || isIRIS
		notIRIS := slices.Contains([]string{"OOMKilled", "ContainerStatusUnknown", "ContainerCannotRun", "StartError"}, ended.Reason)
		if notIRIS || !isIRIS && ended.ExitCode != 0 {
			return fmt.Sprintf("container %s of the copy's pod has ended with exit code %d, which IRIS has not done: %s %s", one.Name, ended.ExitCode,
				ended.Reason, ended.Message)
		}
	}
	if failed && !irisEnded {
		return "the copy's pod has failed, and none of its containers has: " + pod.Status.Message
	}
	return ""
}

// Backups implements verify.Cluster. Those of the volume are the stack's, whoever has asked for them: no other stack's database is on it.
func (v *Verifies) Backups(ctx context.Context, volume string) ([]verify.Backup, error) {
	list, err := v.backups.longhorn("backups").List(ctx, metav1.ListOptions{LabelSelector: backupVolumeLabel + "=" + volume})
	if err != nil {
		return nil, fmt.Errorf("the backups of Longhorn in %s: %w", v.target.Database.LonghornNamespace, err)
	}
	var found []verify.Backup
	for i := range list.Items {
		object := &list.Items[i]
		if of := text(*object, "status", "volumeName"); object.GetLabels()[backupVolumeLabel] != volume || of != "" && of != volume {
			continue
		}
		one := backupOf(object)
		cut, bytes := one.Created, text(*object, "status", "volumeSize")
		if at, err := time.Parse(time.RFC3339, text(*object, "status", "snapshotCreatedAt")); err == nil {
			cut = at
		}
		size, _ := strconv.ParseInt(bytes, 10, 64) // Not known before it is complete.
		found = append(found, verify.Backup{
			Name: one.Name, URL: text(*object, "status", "url"), Complete: one.State == backup.StateCompleted,
			Consistent: object.GetLabels()[kindLabel] == kindConsistent || text(*object, "spec", "labels", kindLabel) == kindConsistent ||
				text(*object, "status", "labels", kindLabel) == kindConsistent,
			Cut: cut, Bytes: size,
		})
	}
	return found, nil
}

// Report implements verify.Cluster.
func (v *Verifies) Report(ctx context.Context, event backup.Event) error {
	return v.backups.report(ctx, "verify", event)
}

// job is the UID of the Job that has made the run's pod; empty when none has.
func (v *Verifies) job(ctx context.Context) (string, error) {
	pods, err := v.pods(ctx)
	if err != nil {
		return "", err
	}
	for i := range pods {
		if owner := metav1.GetControllerOf(&pods[i]); string(pods[i].UID) == v.target.PodUID && owner != nil && owner.Kind == "Job" {
			return string(owner.UID), nil
		}
	}
	return "", nil
}

// FoundBad implements verify.Cluster.
func (v *Verifies) FoundBad(ctx context.Context) (string, error) {
	job, err := v.job(ctx)
	if err != nil || job == "" {
		return "", err
	}
	known, err := v.cluster.Core.ConfigMaps(v.target.Database.Namespace).Get(ctx, v.target.Results, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("the ConfigMap %s/%s: %w", v.target.Database.Namespace, v.target.Results, err)
	case !v.owns(verifyResults, known.Labels):
		return "", nil
	}
	for _, line := range known.Data {
		var one verify.Result
		if json.Unmarshal([]byte(line), &one) == nil && one.Job == job && one.Verdict == verify.Bad {
			return one.Message, nil
		}
	}
	return "", nil
}

// Record implements verify.Cluster.
func (v *Verifies) Record(ctx context.Context, name string, result verify.Result) error {
	job, err := v.job(ctx)
	if err != nil {
		return err
	}
	result.Job = job
	result.Message = strings.ToValidUTF8(result.Message[:min(len(result.Message), maxMessage)], "")
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("write the result of %s: %w", name, err)
	}
	namespace := v.target.Database.Namespace
	about := metav1.ObjectMeta{
		Namespace: namespace, Name: v.target.Results, Labels: v.marks(verifyResults),
		Annotations: map[string]string{stackAnnotation: v.target.Database.Stack},
	}
	err = retry.OnError(retry.DefaultBackoff, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }, func() error {
		return v.put(ctx, about, name, string(line))
	})
	if err != nil {
		return fmt.Errorf("the ConfigMap %s/%s: %w", namespace, v.target.Results, err)
	}
	return nil
}

// put writes a line into the ConfigMap with the version that was read.
func (v *Verifies) put(ctx context.Context, about metav1.ObjectMeta, name, line string) error {
	results := v.cluster.Core.ConfigMaps(about.Namespace)
	known, err := results.Get(ctx, about.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = results.Create(ctx, &corev1.ConfigMap{ObjectMeta: about, Data: map[string]string{name: line}}, metav1.CreateOptions{})
	case err == nil && !v.owns(verifyResults, known.Labels):
		err = fmt.Errorf("%w: it is not this stack's, and left as it is. If nobody needs what it has: kubectl -n %s delete configmap %s", verify.ErrTaken,
			about.Namespace, about.Name)
	case err == nil:
		known.Data = newestResults(known.Data, name, line)
		_, err = results.Update(ctx, known, metav1.UpdateOptions{})
	}
	return err
}

// newestResults are those that are kept, with one more.
func newestResults(known map[string]string, name, line string) map[string]string {
	kept := map[string]string{name: line}
	at := func(text string) time.Time {
		var result verify.Result
		_ = json.Unmarshal([]byte(text), &result) // What is none is the oldest.
		return result.At
	}
	names := slices.SortedFunc(maps.Keys(known), func(a, b string) int { return at(known[b]).Compare(at(known[a])) })
	for _, one := range names {
		if len(kept) < maxResults && one != name {
			kept[one] = known[one]
		}
	}
	return kept
}
