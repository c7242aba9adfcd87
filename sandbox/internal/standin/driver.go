package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/sandbox/internal/datapath/podparts"
)

func ptr[T any](value T) *T { return &value }

// deployDriver creates what Longhorn's driver deployer creates: the CSIDriver, one Deployment per sidecar, and the CSI
// driver on every node. Only the objects are real: no container runs, and this program does the work.
func (c *standIn) deployDriver(ctx context.Context, deployer *appsv1.Deployment) error {
	if err := c.createDriver(ctx); err != nil {
		return err
	}
	environment := containerEnvironment(deployer)
	for _, name := range sidecars() {
		if err := c.createSidecar(ctx, deployer, name, environment); err != nil {
			return err
		}
	}
	return c.createPlugin(ctx, deployer, environment)
}

func sidecars() []string {
	return []string{attacherName, provisionerName, resizerName, snapshotterName}
}

func (c *standIn) createDriver(ctx context.Context) error {
	if _, err := c.cache.drivers.Get(driverName); err == nil {
		return nil
	}
	driver := &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: driverName},
		Spec: storagev1.CSIDriverSpec{
			AttachRequired: ptr(true),
			PodInfoOnMount: ptr(true),
			FSGroupPolicy:  ptr(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy),
		},
	}
	_, err := c.client.StorageV1().CSIDrivers().Create(ctx, driver, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create CSIDriver: %w", err)
	}
	return nil
}

// containerEnvironment is where the chart tells the deployer about images and numbers of replicas.
func containerEnvironment(deployer *appsv1.Deployment) map[string]string {
	environment := map[string]string{}
	for _, container := range deployer.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			environment[variable.Name] = variable.Value
		}
	}
	return environment
}

func (c *standIn) createSidecar(ctx context.Context, deployer *appsv1.Deployment, name string, environment map[string]string) error {
	variables := map[string]string{
		attacherName: "CSI_ATTACHER", provisionerName: "CSI_PROVISIONER",
		resizerName: "CSI_RESIZER", snapshotterName: "CSI_SNAPSHOTTER",
	}
	replicas := int32(3) // the deployer's default
	if number, err := strconv.ParseInt(environment[variables[name]+"_REPLICA_COUNT"], 10, 32); err == nil {
		replicas = int32(number)
	}
	_, err := c.cache.deployments.Deployments(deployer.Namespace).Get(name)
	if err == nil {
		return nil
	}
	selector := map[string]string{"app": name}
	deployment := &appsv1.Deployment{
		ObjectMeta: managedMeta(deployer.Namespace, name, selector),
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: managedPod(deployer, selector, name, environment[variables[name]+"_IMAGE"]),
		},
	}
	podparts.Idle(&deployment.Spec.Template.Spec.Containers[0])
	_, err = c.client.AppsV1().Deployments(deployer.Namespace).Create(ctx, deployment, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

func (c *standIn) createPlugin(ctx context.Context, deployer *appsv1.Deployment, environment map[string]string) error {
	_, err := c.cache.daemonSets.DaemonSets(deployer.Namespace).Get(pluginName)
	if err == nil {
		return nil
	}
	selector := map[string]string{"app": pluginName}
	set := &appsv1.DaemonSet{
		ObjectMeta: managedMeta(deployer.Namespace, pluginName, selector),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: managedPod(deployer, selector, pluginName, environment["CSI_PLUGIN_IMAGE"]),
		},
	}
	// With the rights that the real one needs to mount volumes for other pods, so that the namespace has to allow them.
	podparts.Plugin(&set.Spec.Template.Spec, environment["KUBELET_ROOT_DIR"])
	_, err = c.client.AppsV1().DaemonSets(deployer.Namespace).Create(ctx, set, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s: %w", pluginName, err)
	}
	return nil
}

func managedMeta(namespace, name string, selector map[string]string) metav1.ObjectMeta {
	labels := maps.Clone(selector)
	labels["longhorn.io/managed-by"] = managerName
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

// managedPod takes what the deployer hands on from its own pod. The default image is only a name; nothing pulls it.
func managedPod(deployer *appsv1.Deployment, selector map[string]string, name, image string) corev1.PodTemplateSpec {
	if image == "" {
		image = "longhornio/" + name
	}
	own := deployer.Spec.Template.Spec
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector},
		Spec: corev1.PodSpec{
			ServiceAccountName: own.ServiceAccountName,
			PriorityClassName:  own.PriorityClassName,
			Tolerations:        own.Tolerations,
			NodeSelector:       own.NodeSelector,
			Containers:         []corev1.Container{{Name: name, Image: image}},
		},
	}
}

// addCSINodeLoop plays the node-driver-registrar and the kubelet's plugin registration, per node.
func (c *standIn) addCSINodeLoop() error {
	l := c.loop("csinode", c.syncCSINode)
	return errors.Join(
		on(c.informers.Core().V1().Nodes().Informer(), func(node *corev1.Node) { l.queue.Add(node.Name) }),
		on(c.cache.pods, func(pod *corev1.Pod) {
			if pod.Labels["app"] == pluginName && pod.Spec.NodeName != "" {
				l.queue.Add(pod.Spec.NodeName)
			}
		}),
		on(c.informers.Storage().V1().CSINodes().Informer(), func(node *storagev1.CSINode) { l.queue.Add(node.Name) }),
	)
}

// syncCSINode lists Longhorn's driver in the node's CSINode while its pod is ready there, and the network disk's where that is
// played. A dead node's entries stay, because nobody is there to remove them.
func (c *standIn) syncCSINode(ctx context.Context, name string) (time.Duration, error) {
	node, err := c.livingNode(name)
	if err != nil || node == nil {
		return 0, err // a real node's kubelet does it
	}
	ready, err := c.pluginReady(name)
	if err != nil {
		return 0, err
	}
	var wanted []string
	if ready {
		wanted = append(wanted, driverName)
	}
	if c.networkDisk {
		wanted = append(wanted, diskDriver)
	}
	existing, err := c.cache.csiNodes.Get(name)
	if apierrors.IsNotFound(err) {
		return 0, c.createCSINode(ctx, node, wanted)
	}
	if err != nil {
		return 0, fmt.Errorf("look up CSINode %s: %w", name, err)
	}
	updated := existing.DeepCopy()
	updated.Spec.Drivers = slices.DeleteFunc(updated.Spec.Drivers, func(driver storagev1.CSINodeDriver) bool {
		return (driver.Name == driverName || driver.Name == diskDriver) && !slices.Contains(wanted, driver.Name)
	})
	for _, driver := range wanted {
		if !registered(updated, driver) {
			updated.Spec.Drivers = append(updated.Spec.Drivers, csiNodeDriver(driver, name))
		}
	}
	if equality.Semantic.DeepEqual(updated.Spec, existing.Spec) {
		return 0, nil
	}
	if _, err := c.client.StorageV1().CSINodes().Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
		return 0, fmt.Errorf("update CSINode %s: %w", name, err)
	}
	return 0, nil
}

func (c *standIn) createCSINode(ctx context.Context, node *corev1.Node, drivers []string) error {
	created := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{
		Name: node.Name,
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
		},
	}}
	for _, driver := range drivers {
		created.Spec.Drivers = append(created.Spec.Drivers, csiNodeDriver(driver, node.Name))
	}
	_, err := c.client.StorageV1().CSINodes().Create(ctx, created, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create CSINode %s: %w", node.Name, err)
	}
	return nil
}

// csiNodeDriver has no topology keys: Longhorn's volumes can be reached from every node, and so can the network disk's.
func csiNodeDriver(driver, node string) storagev1.CSINodeDriver {
	return storagev1.CSINodeDriver{Name: driver, NodeID: node}
}

// registeredOn says whether the node's kubelet knows the driver.
func (c *standIn) registeredOn(node, driver string) (bool, error) {
	found, err := c.cache.csiNodes.Get(node)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up CSINode %s: %w", node, err)
	}
	return registered(found, driver), nil
}

func registered(node *storagev1.CSINode, name string) bool {
	return slices.ContainsFunc(node.Spec.Drivers, func(driver storagev1.CSINodeDriver) bool { return driver.Name == name })
}

func (c *standIn) pluginReady(node string) (bool, error) {
	pods, err := c.cache.podsBy(byNode, node)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool {
		return pod.Labels["app"] == pluginName && podReady(pod)
	}), nil
}

func podReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && podCondition(pod, corev1.PodReady)
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == kind && condition.Status == corev1.ConditionTrue
	})
}
