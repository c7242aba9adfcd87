package standin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// defaultFSType is what Longhorn gives its csi-provisioner as --default-fstype.
	defaultFSType = "ext4"
	// csiParameterPrefix begins the StorageClass parameters that the sidecar keeps for itself.
	csiParameterPrefix = "csi.storage.k8s.io/"
	fsTypeParameter    = csiParameterPrefix + "fstype"
	identityAttribute  = "storage.kubernetes.io/csiProvisionerIdentity"
	maxReplicas        = 20
	// The sidecar's defaults of --retry-interval-start and --retry-interval-max.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// provisionerSwitch runs the CSI provisioner's control loop while the sidecar's pods are ready. The loop is the library
// that the real sidecar is built on, so binding modes, retries, events and finalizers are its own.
type provisionerSwitch struct {
	standIn *standIn
	mutex   sync.Mutex
	stop    context.CancelFunc
	stopped chan struct{}
}

func newProvisionerSwitch(c *standIn) *provisionerSwitch {
	return &provisionerSwitch{standIn: c}
}

// set starts or stops the loop.
func (s *provisionerSwitch) set(ctx context.Context, on bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if on == (s.stop != nil) {
		return
	}
	if !on {
		s.halt()
		return
	}
	loop := controller.NewProvisionController(ctx, s.standIn.client, driverName, &provisioner{s.standIn},
		controller.LeaderElection(false),
		controller.AddFinalizer(true),
		// As the sidecar: try for ever.
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	)
	ctx, s.stop = context.WithCancel(ctx)
	s.stopped = make(chan struct{})
	go func() {
		defer close(s.stopped)
		loop.Run(ctx)
	}()
}

func (s *provisionerSwitch) off() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stop != nil {
		s.halt()
	}
}

func (s *provisionerSwitch) halt() {
	s.stop()
	<-s.stopped
	s.stop = nil
}

// provisioner creates and deletes Longhorn volumes.
type provisioner struct{ *standIn }

var (
	_ controller.Provisioner      = (*provisioner)(nil)
	_ controller.BlockProvisioner = (*provisioner)(nil)
)

// SupportsBlock is true: Longhorn's volumes are block devices.
func (p *provisioner) SupportsBlock(context.Context) bool { return true }

// Provision creates the Longhorn volume and describes the PersistentVolume for it.
func (p *provisioner) Provision(ctx context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	namespace, running, err := p.manager()
	if err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	if !running {
		return nil, controller.ProvisioningNoChange, errors.New("longhorn-manager does not answer")
	}
	parameters, err := volumeParameters(options)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if state, err := p.addSource(ctx, options, parameters); err != nil {
		return nil, state, err
	}
	volume, err := newLonghornVolume(namespace, options, parameters)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := p.prepareRestore(ctx, volume); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := p.prepareClone(ctx, volume); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := p.longhorn.create(ctx, longhornVolumes, volume); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if _, err := p.schedule(ctx, namespace, options.PVName); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return persistentVolume(options, parameters), controller.ProvisioningFinished, nil
}

// Delete removes the Longhorn volume, with its data. The sidecar leaves a volume alone that is still attached.
func (p *provisioner) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	attachments, err := p.cache.attachmentsOf(volume.Name)
	if err != nil {
		return err
	}
	if len(attachments) > 0 {
		return fmt.Errorf("persistentvolume %s is still attached to node %s", volume.Name, attachments[0].Spec.NodeName)
	}
	namespace, running, err := p.manager()
	if err != nil {
		return err
	}
	if !running {
		return errors.New("longhorn-manager does not answer")
	}
	object, err := p.longhorn.get(ctx, namespace, longhornVolumes, volume.Spec.CSI.VolumeHandle)
	if err != nil || object == nil {
		return err
	}
	p.managing.Lock()
	defer p.managing.Unlock()
	return errors.Join(p.longhorn.remove(ctx, longhornVolumes, object), p.removeCopies(ctx, namespace, object.GetName()))
}

// volumeParameters are the class's parameters without those that the sidecar keeps for itself, and with what Longhorn's
// driver adds for the access mode.
func volumeParameters(options controller.ProvisionOptions) (map[string]string, error) {
	parameters := map[string]string{}
	for name, value := range options.StorageClass.Parameters {
		if !strings.HasPrefix(name, csiParameterPrefix) {
			parameters[name] = value
		}
	}
	for _, mode := range options.PVC.Spec.AccessModes {
		switch mode {
		case corev1.ReadWriteMany:
			parameters["share"] = "true"
		case corev1.ReadWriteOncePod:
			parameters["exclusive"] = "true"
		case corev1.ReadWriteOnce:
		case corev1.ReadOnlyMany:
			return nil, errors.New("rpc error: code = InvalidArgument desc = access mode ReadOnlyMany is not supported")
		}
	}
	return parameters, nil
}

func replicas(parameters map[string]string) (int, error) {
	text, given := parameters["numberOfReplicas"]
	if !given {
		return 3, nil // the built-in default of default-replica-count; what the setting says is not looked at
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > maxReplicas {
		return 0, fmt.Errorf("rpc error: code = InvalidArgument desc = invalid parameter numberOfReplicas %q: want 1 to %d",
			text, maxReplicas)
	}
	return number, nil
}

func staleTimeout(parameters map[string]string) int64 {
	if minutes, err := strconv.ParseInt(parameters["staleReplicaTimeout"], 10, 64); err == nil && minutes > 0 {
		return minutes
	}
	return 2880
}

func newLonghornVolume(namespace string, options controller.ProvisionOptions, parameters map[string]string) (*unstructured.Unstructured, error) {
	number, err := replicas(parameters)
	if err != nil {
		return nil, err
	}
	accessMode := "rwo"
	switch {
	case parameters["share"] == "true":
		accessMode = "rwx"
	case parameters["exclusive"] == "true":
		accessMode = "rwop"
	}
	request := options.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	object := newObject(namespace, longhornVolumes, options.PVName)
	object.SetFinalizers([]string{longhornFinalizer})
	object.Object["spec"] = map[string]any{
		"size":             strconv.FormatInt(request.Value(), 10),
		"numberOfReplicas": int64(number),
		"dataLocality":     parameters["dataLocality"],
		"accessMode":       accessMode,
		"frontend":         "blockdev",
		"nodeID":           "",
		// Minutes; the driver's default (longhorn-manager csi/util.go).
		"staleReplicaTimeout": staleTimeout(parameters),
	}
	for _, name := range []string{"fromBackup", "backupTargetName", "dataSource"} {
		if value := parameters[name]; value != "" {
			put(object, value, "spec", name)
		}
	}
	if err := selectJobs(object, parameters["recurringJobSelector"]); err != nil {
		return nil, err
	}
	object.Object["status"] = map[string]any{"state": "detached", "robustness": "unknown", "currentNodeID": ""}
	return object, nil
}

func persistentVolume(options controller.ProvisionOptions, parameters map[string]string) *corev1.PersistentVolume {
	attributes := map[string]string{identityAttribute: driverName}
	for name, value := range parameters {
		attributes[name] = value
	}
	fsType := options.StorageClass.Parameters[fsTypeParameter]
	if fsType == "" {
		fsType = defaultFSType
	}
	if mode := options.PVC.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		fsType = ""
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver:           driverName,
				VolumeHandle:     options.PVName,
				FSType:           fsType,
				VolumeAttributes: attributes,
			}},
		},
	}
}
