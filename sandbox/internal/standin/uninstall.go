package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// addUninstallLoop plays the container of Longhorn's uninstall job, which the pod loop leaves running.
func (c *standIn) addUninstallLoop() error {
	l := c.loop("uninstall", c.syncUninstall)
	return on(c.cache.pods, func(pod *corev1.Pod) {
		if pod.Labels[batchv1.JobNameLabel] == uninstallJobName {
			l.queue.Add(pod.Namespace + "/" + pod.Name)
		}
	})
}

func (c *standIn) syncUninstall(ctx context.Context, key string) (time.Duration, error) {
	pod, err := c.cache.pod(key)
	if err != nil || pod == nil {
		return 0, err
	}
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		return 0, nil
	}
	tick := "uninstall/" + string(pod.UID)
	if elapsed, takes := c.ticks.elapsed(tick), seconds(pod, workAnnotation, 0); elapsed < takes {
		return takes - elapsed, nil
	}
	c.ticks.forget(tick)
	confirmed, err := c.longhorn.boolSetting(ctx, pod.Namespace, "deleting-confirmation-flag")
	if err != nil {
		return 0, err
	}
	if !confirmed {
		c.log.Warn("uninstall refused: deleting-confirmation-flag is not true", "pod", key)
		return 0, c.endPod(ctx, pod, 1)
	}
	// The attacher goes with the rest, so it has to let go of what is attached nowhere before.
	if held, err := c.removePersistentVolumes(ctx, pod.Namespace); err != nil || held {
		return retryTick, err
	}
	if err := c.uninstall(ctx, pod.Namespace); err != nil {
		return 0, err
	}
	return 0, c.endPod(ctx, pod, 0)
}

// uninstall removes what Longhorn made, in Longhorn's order: the volumes with their data, the backup targets before the
// backups, so that these stay in the bucket (longhorn.md 3.5), the nodes, the manager so that nothing comes back, the driver, the storage class. Attached volumes do not stop it (--force). What the original leaves
// stays: the class longhorn-static and the settings (longhorn-manager uninstall_controller.go).
func (c *standIn) uninstall(ctx context.Context, namespace string) error {
	c.managing.Lock()
	defer c.managing.Unlock()
	if manager, err := c.cache.daemonSets.DaemonSets(namespace).Get(managerName); err == nil {
		c.uninstalled.Store(manager.UID, true)
	}
	for _, kind := range []string{
		longhornVolumes, snapshotKind, engineKind, replicaKind, jobKind, targetKind, backupVolumeKind, backupKind, orphanKind,
		longhornNodes, instanceKind,
	} {
		if err := c.removeAll(ctx, namespace, kind); err != nil {
			return err
		}
	}
	if err := c.removeInstances(ctx, namespace); err != nil {
		return err
	}
	if err := c.removeWorkloads(ctx, namespace); err != nil {
		return err
	}
	storage := c.client.StorageV1()
	err := errors.Join(
		ignoreGone(storage.CSIDrivers().Delete(ctx, driverName, metav1.DeleteOptions{})),
		ignoreGone(storage.StorageClasses().Delete(ctx, "longhorn", metav1.DeleteOptions{})),
	)
	if err != nil {
		return fmt.Errorf("remove the driver: %w", err)
	}
	return nil
}

// removePersistentVolumes deletes the PersistentVolumes of Longhorn's volumes, whatever their reclaim policy, and the claims
// that are bound to them (longhorn-manager volume_controller.go, the end of a volume). It reports whether one is attached
// nowhere and still held by the attacher.
func (c *standIn) removePersistentVolumes(ctx context.Context, namespace string) (held bool, err error) {
	objects, err := c.longhorn.list(ctx, namespace, longhornVolumes)
	if err != nil {
		return false, err
	}
	handles := map[string]bool{}
	for i := range objects {
		handles[objects[i].GetName()] = true
	}
	volumes, err := c.cache.volumes.List(labels.Everything())
	if err != nil {
		return false, fmt.Errorf("list persistent volumes: %w", err)
	}
	core := c.client.CoreV1()
	for _, volume := range volumes {
		source := volume.Spec.CSI
		if source == nil || source.Driver != driverName || !handles[source.VolumeHandle] {
			continue
		}
		errs := []error{ignoreGone(core.PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}))}
		if claim := volume.Spec.ClaimRef; claim != nil && volume.Status.Phase != corev1.VolumeReleased {
			errs = append(errs, ignoreGone(core.PersistentVolumeClaims(claim.Namespace).Delete(ctx, claim.Name, metav1.DeleteOptions{})))
		}
		if err := errors.Join(errs...); err != nil {
			return false, fmt.Errorf("remove persistent volume %s: %w", volume.Name, err)
		}
		attachments, err := c.cache.attachmentsOf(volume.Name)
		if err != nil {
			return false, err
		}
		held = held || len(attachments) == 0 && slices.Contains(volume.Finalizers, attachFinalizerOf(driverName))
	}
	return held, nil
}

func (c *standIn) removeWorkloads(ctx context.Context, namespace string) error {
	background := metav1.DeleteOptions{PropagationPolicy: ptr(metav1.DeletePropagationBackground)}
	apps := c.client.AppsV1()
	errs := []error{
		ignoreGone(apps.DaemonSets(namespace).Delete(ctx, managerName, background)),
		ignoreGone(apps.Deployments(namespace).Delete(ctx, driverDeployerName, background)),
		ignoreGone(apps.DaemonSets(namespace).Delete(ctx, pluginName, background)),
	}
	for _, name := range sidecars() {
		errs = append(errs, ignoreGone(apps.Deployments(namespace).Delete(ctx, name, background)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove Longhorn's workloads: %w", err)
	}
	return nil
}

// removeInstances removes the instance managers' pods and budgets.
func (c *standIn) removeInstances(ctx context.Context, namespace string) error {
	s, err := c.readState(ctx, namespace)
	if err != nil {
		return err
	}
	for name := range s.budgets {
		if err := c.removeBudget(ctx, s, name); err != nil {
			return err
		}
	}
	pods, err := c.cache.podLister.Pods(namespace).List(labels.SelectorFromSet(labels.Set{"longhorn.io/component": "instance-manager"}))
	if err != nil {
		return fmt.Errorf("list pods of instance managers: %w", err)
	}
	for _, pod := range pods {
		err := c.client.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
		if ignoreGone(err) != nil {
			return fmt.Errorf("delete pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

func (c *standIn) removeAll(ctx context.Context, namespace, plural string) error {
	objects, err := c.longhorn.list(ctx, namespace, plural)
	if err != nil {
		return err
	}
	for i := range objects {
		if plural == longhornNodes { // which the chart's admission policy asks for, as Longhorn's webhook does
			annotate(&objects[i], uninstallAnnotation, "")
		}
		if err := c.longhorn.remove(ctx, plural, &objects[i]); err != nil {
			return err
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
