package standin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// A claim can be filled from a VolumeSnapshot. What the csi-provisioner looks at before it calls the driver is its own
// (external-provisioner 6.2 pkg/controller/controller.go, prepareProvision and getSnapshotSource), and what the driver makes of the
// snapshot's handle is Longhorn's (longhorn-manager csi/controller_server.go, CreateVolume). Not played is the csi-provisioner's finalizer
// on a snapshot that a claim is being filled from: with it one that is being deleted stays and goes on filling that claim, here it is refused.

const (
	snapshotGroup      = "snapshot.storage.k8s.io"
	volumeSnapshotKind = "VolumeSnapshot"

	dataSourceParameter = "dataSource"
	fromBackupParameter = "fromBackup"

	// modeChangeAnnotation of a VolumeSnapshotContent allows that a filesystem's snapshot becomes a block volume, and the other way round.
	modeChangeAnnotation = "snapshot.storage.kubernetes.io/allow-volume-mode-change"
)

// addSource adds what the claim is to be filled from to the parameters for the driver.
func (p *provisioner) addSource(ctx context.Context, options controller.ProvisionOptions, parameters map[string]string) (controller.ProvisioningState, error) {
	source := options.PVC.Spec.DataSource
	if source == nil {
		return controller.ProvisioningFinished, nil
	}
	group := ""
	if source.APIGroup != nil {
		group = *source.APIGroup
	}
	switch {
	case source.Kind == volumeSnapshotKind && group != snapshotGroup:
		return controller.ProvisioningFinished, fmt.Errorf(
			"the PVC source does not belong to the right APIGroup. Expected %s, Got %s", snapshotGroup, group)
	case source.Kind == "PersistentVolumeClaim":
		return controller.ProvisioningFinished, errors.New("the stand-in does not clone the volume of another claim")
	case source.Kind != volumeSnapshotKind:
		p.recorder.Event(options.PVC, corev1.EventTypeNormal, "Provisioning", "Assuming an external populator will provision the volume")
		return controller.ProvisioningFinished, &controller.IgnoredError{Reason: fmt.Sprintf(
			"data source (%s) is not handled by the provisioner, assuming an external populator will provision it", source.Kind)}
	}
	handle, err := p.snapshotHandle(ctx, options, source.Name)
	if err != nil {
		return controller.ProvisioningNoChange, fmt.Errorf("error getting handle for DataSource Type %s by Name %s: %w", source.Kind, source.Name, err)
	}
	return controller.ProvisioningFinished, p.addHandle(ctx, handle, parameters)
}

// snapshotHandle is how the driver calls the snapshot.
func (p *provisioner) snapshotHandle(ctx context.Context, options controller.ProvisionOptions, name string) (string, error) {
	claim := options.PVC
	snapshot, err := p.snapshotObject("volumesnapshots").Namespace(claim.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("error getting snapshot %s from api server: %w", name, err)
	}
	bound := textAt(snapshot, "status", "boundVolumeSnapshotContentName")
	switch {
	case snapshot.GetDeletionTimestamp() != nil:
		return "", fmt.Errorf("snapshot %s is being deleted", name)
	case bound == "":
		return "", fmt.Errorf("snapshot %s not bound", name)
	}
	content, err := p.snapshotObject("volumesnapshotcontents").Get(ctx, bound, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("error getting snapshotcontent %s for snapshot %s from api server: %w", bound, name, err)
	}
	handle := textAt(content, "status", "snapshotHandle")
	switch {
	case textAt(content, "spec", "volumeSnapshotRef", "uid") != string(snapshot.GetUID()),
		textAt(content, "spec", "volumeSnapshotRef", "namespace") != snapshot.GetNamespace(),
		textAt(content, "spec", "volumeSnapshotRef", "name") != snapshot.GetName():
		return "", fmt.Errorf("snapshotcontent %s for snapshot %s is bound to a different snapshot", bound, name)
	case textAt(content, "spec", "driver") != options.StorageClass.Provisioner:
		return "", fmt.Errorf("snapshotcontent %s for snapshot %s is handled by a different CSI driver than requested by StorageClass %s",
			bound, name, options.StorageClass.Name)
	case !truthAt(snapshot, "status", "readyToUse"):
		return "", fmt.Errorf("snapshot %s is not Ready", name)
	case handle == "":
		return "", fmt.Errorf("snapshot handle %s is not available", name)
	}
	if err := fits(claim, snapshot); err != nil {
		return "", err
	}
	return handle, keepsMode(claim, content)
}

func (p *provisioner) snapshotObject(plural string) dynamic.NamespaceableResourceInterface {
	return p.longhorn.client.Resource(schema.GroupVersionResource{Group: snapshotGroup, Version: "v1", Resource: plural})
}

// fits refuses a claim that is smaller than the snapshot.
func fits(claim *corev1.PersistentVolumeClaim, snapshot *unstructured.Unstructured) error {
	size, err := resource.ParseQuantity(textAt(snapshot, "status", "restoreSize"))
	if err != nil {
		return nil //nolint:nilerr // One of no known size is not compared.
	}
	request := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if request.Cmp(size) < 0 {
		return fmt.Errorf("requested volume size %d is less than the size %d for the source snapshot %s", request.Value(), size.Value(), snapshot.GetName())
	}
	return nil
}

// keepsMode refuses a claim of another volume mode than the snapshot's volume had, unless the content allows it (the sidecar's
// --prevent-volume-mode-conversion, which is on unless it is told otherwise, and Longhorn says nothing of it).
func keepsMode(claim *corev1.PersistentVolumeClaim, content *unstructured.Unstructured) error {
	mode := textAt(content, "spec", "sourceVolumeMode")
	if mode == "" || claim.Spec.VolumeMode == nil || string(*claim.Spec.VolumeMode) == mode {
		return nil
	}
	allowed, annotated := content.GetAnnotations()[modeChangeAnnotation]
	reason := ""
	switch allows, err := strconv.ParseBool(allowed); {
	case !annotated:
		reason = fmt.Sprintf("%s annotation is not present on snapshotcontent %s", modeChangeAnnotation, content.GetName())
	case err != nil:
		reason = fmt.Sprintf("failed to convert %s annotation value to boolean with error: %v", modeChangeAnnotation, err)
	case !allows:
		reason = fmt.Sprintf("%s is set to false on snapshotcontent %s", modeChangeAnnotation, content.GetName())
	default:
		return nil
	}
	return fmt.Errorf("requested volume %s/%s modifies the mode of the source volume but does not have permission to do so. %s",
		claim.Namespace, claim.Name, reason)
}

// addHandle makes a parameter of the handle.
func (p *provisioner) addHandle(ctx context.Context, handle string, parameters map[string]string) error {
	kind, rest, _ := strings.Cut(handle, "://")
	volume, name, _ := strings.Cut(rest, "/")
	switch kind {
	case "snap", "bak", "bs": // The last one is bak until Longhorn 1.3.
	default:
		return fmt.Errorf("rpc error: code = InvalidArgument desc = invalid CSI snapshot type: %s. Must be snap, bak or bi", kind)
	}
	if name == "" {
		return fmt.Errorf("rpc error: code = NotFound desc = volume source snapshot %s is not found", handle)
	}
	if kind == "snap" {
		parameters[dataSourceParameter] = handle
		return nil
	}
	namespace, _, err := p.manager()
	if err != nil {
		return err
	}
	backup, err := p.longhorn.get(ctx, namespace, backupKind, name)
	if err != nil {
		return err
	}
	if backup == nil || backup.GetLabels()[backupVolumeLabel] != volume {
		return fmt.Errorf("rpc error: code = NotFound desc = failed to restore CSI snapshot %s backup %s unavailable", handle, name)
	}
	parameters[fromBackupParameter] = textAt(backup, "status", "url")
	return nil
}
