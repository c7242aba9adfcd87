package standin

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// installation is what of Longhorn runs in the cluster. Each part is played only while the pods that would play it in
// earnest are ready.
type installation struct {
	// namespace of Longhorn; empty if there is no longhorn-manager.
	namespace string
	// manager: longhorn-manager runs on at least one node.
	manager bool
	// deployer: the driver deployer is available, so that the CSI driver is deployed.
	deployer *appsv1.Deployment
}

// findInstallation looks for Longhorn by what its chart creates.
func (c *standIn) findInstallation() (installation, error) {
	sets, err := c.cache.daemonSets.List(labels.SelectorFromSet(labels.Set{"app": managerName}))
	if err != nil {
		return installation{}, fmt.Errorf("look for %s: %w", managerName, err)
	}
	for _, set := range sets {
		if _, gone := c.uninstalled.Load(set.UID); gone || set.Name != managerName || set.DeletionTimestamp != nil {
			continue
		}
		found := installation{namespace: set.Namespace, manager: set.Status.NumberReady > 0}
		deployer, err := c.cache.deployments.Deployments(set.Namespace).Get(driverDeployerName)
		if err != nil && !apierrors.IsNotFound(err) {
			return installation{}, fmt.Errorf("look for %s: %w", driverDeployerName, err)
		}
		// One that ends again and again counts as available for a moment, and has deployed nothing.
		if err == nil && available(deployer) && deployer.Spec.Template.Annotations[crashAnnotation] == "" {
			found.deployer = deployer
		}
		return found, nil
	}
	return installation{}, nil
}

// manager returns the namespace of a Longhorn whose manager runs, and false if there is none.
func (c *standIn) manager() (string, bool, error) {
	found, err := c.findInstallation()
	return found.namespace, found.manager, err
}

// sidecar returns the namespace of a CSI sidecar that runs, and false if none does.
func (c *standIn) sidecar(name string) (string, bool, error) {
	found, err := c.findInstallation()
	if err != nil || found.namespace == "" {
		return "", false, err
	}
	deployment, err := c.cache.deployments.Deployments(found.namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look for %s: %w", name, err)
	}
	return found.namespace, available(deployment), nil
}

func available(deployment *appsv1.Deployment) bool {
	return deployment.DeletionTimestamp == nil && deployment.Status.AvailableReplicas > 0
}

// addLonghornLoop plays longhorn-manager's and the driver deployer's standing duties, as one object.
func (c *standIn) addLonghornLoop() error {
	l := c.loop("longhorn", c.syncLonghorn)
	const only = "longhorn"
	longhornOwn := func(meta metav1.Object) {
		switch meta.GetName() {
		case managerName, driverDeployerName, pluginName, settingsConfigMap, storageClassConfigMap,
			attacherName, provisionerName, resizerName, snapshotterName:
			l.queue.Add(only)
		}
	}
	apps, core, storage := c.informers.Apps().V1(), c.informers.Core().V1(), c.informers.Storage().V1()
	return errors.Join(
		on(apps.DaemonSets().Informer(), func(set *appsv1.DaemonSet) { longhornOwn(set) }),
		on(apps.Deployments().Informer(), func(deployment *appsv1.Deployment) { longhornOwn(deployment) }),
		on(core.ConfigMaps().Informer(), func(config *corev1.ConfigMap) { longhornOwn(config) }),
		on(core.Nodes().Informer(), func(*corev1.Node) { l.queue.Add(only) }),
		on(storage.StorageClasses().Informer(), func(*storagev1.StorageClass) { l.queue.Add(only) }),
	)
}

func (c *standIn) syncLonghorn(ctx context.Context, _ string) (time.Duration, error) {
	c.managing.Lock()
	defer c.managing.Unlock()
	found, err := c.findInstallation()
	if err != nil {
		return 0, err
	}
	if found.manager {
		if err := errors.Join(
			c.syncSettings(ctx, found.namespace),
			c.syncLonghornNodes(ctx, found.namespace),
			c.syncStorageClasses(ctx, found.namespace),
		); err != nil {
			return 0, err
		}
	}
	if found.deployer != nil {
		if err := c.deployDriver(ctx, found.deployer); err != nil {
			return 0, err
		}
	}
	_, provisioning, err := c.sidecar(provisionerName)
	if err != nil {
		return 0, err
	}
	c.provisioner.set(ctx, provisioning)
	return podResync, nil
}

// syncStorageClasses creates the class of the chart's ConfigMap and the one for volumes that exist already. A class
// cannot be changed, so Longhorn replaces it when the ConfigMap's text differs.
func (c *standIn) syncStorageClasses(ctx context.Context, namespace string) error {
	static := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: defaultOf("default-longhorn-static-storage-class")},
		Provisioner:          driverName,
		AllowVolumeExpansion: ptr(true),
		Parameters:           map[string]string{"staleReplicaTimeout": "30"},
	}
	if err := c.replaceClass(ctx, static, ""); err != nil {
		return err
	}
	config, err := c.cache.configMaps.ConfigMaps(namespace).Get(storageClassConfigMap)
	if apierrors.IsNotFound(err) {
		return nil // persistence.createStorageClass is false
	}
	if err != nil {
		return fmt.Errorf("look up Longhorn's storage class: %w", err)
	}
	source := config.Data[storageClassKey]
	class := &storagev1.StorageClass{}
	if err := yaml.UnmarshalStrict([]byte(source), class); err != nil {
		c.log.Warn("storage class skipped: not valid", "error", err)
		return nil
	}
	return c.replaceClass(ctx, class, source)
}

// replaceClass creates the class, after deleting an older one that was made from another text.
func (c *standIn) replaceClass(ctx context.Context, class *storagev1.StorageClass, source string) error {
	const sourceAnnotation = "longhorn.io/last-applied-configmap"
	metav1.SetMetaDataAnnotation(&class.ObjectMeta, sourceAnnotation, source)
	existing, err := c.cache.classes.Get(class.Name)
	if err == nil && existing.Annotations[sourceAnnotation] == source {
		return nil
	}
	classes := c.client.StorageV1().StorageClasses()
	if err == nil {
		if err := classes.Delete(ctx, class.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("replace storage class %s: %w", class.Name, err)
		}
	}
	if _, err := classes.Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create storage class %s: %w", class.Name, err)
	}
	return nil
}
