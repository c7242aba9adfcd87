package standin

import "time"

// Names that Longhorn 1.12 and the CSI sidecars use. They are contract: other controllers and people look for them.
const (
	driverName = "driver.longhorn.io"
	// longhornFinalizer keeps Longhorn's own objects until Longhorn has cleaned up behind them. Nobody removes it once
	// Longhorn is gone, which is why uninstalling has to go through Longhorn's own job.
	longhornFinalizer = "longhorn.io"

	managerName        = "longhorn-manager"
	driverDeployerName = "longhorn-driver-deployer"
	pluginName         = "longhorn-csi-plugin"
	uninstallJobName   = "longhorn-uninstall"

	attacherName    = "csi-attacher"
	provisionerName = "csi-provisioner"
	resizerName     = "csi-resizer"
	snapshotterName = "csi-snapshotter"

	settingsConfigMap     = "longhorn-default-setting"
	settingsKey           = "default-setting.yaml"
	storageClassConfigMap = "longhorn-storageclass"
	storageClassKey       = "storageclass.yaml"

	// volumeKeyPrefix begins a volume's name in a node's status, before its driver's.
	volumeKeyPrefix = "kubernetes.io/csi/"

	fakeNodeAnnotation = "kwok.x-k8s.io/node"
	fakeNodeValue      = "fake"
)

// Annotations by which tests and people steer what is played.
const (
	// diskAnnotation of a Node stands for the machine's disk.
	diskAnnotation = "sandbox.ha-iris/disk"
	// rebuildAnnotation of Longhorn's volume, or of its namespace, is how many seconds a full rebuild takes.
	rebuildAnnotation = "sandbox.ha-iris/rebuild-seconds"
	// backupAnnotation of Longhorn's volume, or of its namespace, is how many seconds a backup, a restore or a clone takes.
	backupAnnotation = "sandbox.ha-iris/backup-seconds"
	// startedAnnotation of a replica is when its rebuild, restore or copy began, of a backup when it did.
	startedAnnotation = "sandbox.ha-iris/rebuild-started"
	// movingAnnotation of Longhorn's volume: Longhorn itself has attached it, to move a replica or
	// for a snapshot, a backup, a restore or a clone.
	movingAnnotation = "sandbox.ha-iris/moving"
	// sourceAnnotation of a clone's replica is where its source is attached, and which replica of that is read.
	sourceAnnotation = "sandbox.ha-iris/clone-source"
	// taskAnnotation of a snapshot or a backup is what a real node's instance manager calls the work for it.
	taskAnnotation = "sandbox.ha-iris/task"
	// instancesAnnotation of Longhorn's node is how many replicas and engines it has.
	instancesAnnotation = "sandbox.ha-iris/instances"
	// uninstallAnnotation of Longhorn's node lets it be deleted in any state; it is the original's.
	uninstallAnnotation = "longhorn.io/delete-node-from-longhorn"
)

// Annotations with which a pod asks for trouble. The chart's values under "sandbox" set them, for tests.
const (
	// startAnnotation is how many seconds the pod's containers take to start.
	startAnnotation = "sandbox.ha-iris/start-seconds"
	// workAnnotation is how many seconds the uninstaller takes before it begins.
	workAnnotation = "sandbox.ha-iris/work-seconds"
	// crashAnnotation is the message with which the pod's containers end, again and again.
	crashAnnotation = "sandbox.ha-iris/crash"
)

// Times of the parts that are played here, with where each comes from.
const (
	// attachTick is how often Longhorn's CSI driver looks whether a volume is attached or detached
	// (longhorn-manager csi/controller_server.go).
	attachTick = 2 * time.Second
	// attachPatience is when the driver gives up on one attempt (same file); the attacher then tries again.
	attachPatience = 90 * time.Second
	// requestTimeout is that of the driver's requests to longhorn-backend (longhorn-manager client/common.go).
	requestTimeout = 10 * time.Second
	// instanceTime is how long a volume's replicas and its engine take to start: about 3 s with the real one, and less
	// than that where an attachment took 4 or 8 s, of ticks of 2 s (longhorn-real.md).
	instanceTime = 2800 * time.Millisecond
	// enginePoll is how often the engine's monitor asks the engine, first after this time. Only then the volume has a
	// device in the driver's eyes (longhorn-manager engine_controller.go, EnginePollInterval).
	enginePoll = 5 * time.Second
	// podResync is how often longhorn-manager looks at every pod again (its informers' resync period).
	podResync = 30 * time.Second
	// remountDelay is how long Longhorn waits after a volume has asked for a remount (longhorn-manager
	// kubernetes_pod_controller.go, remountRequestDelayDuration).
	remountDelay = 5 * time.Second
	// notReadyGrace is how long Longhorn lets a kubelet that still answers be not ready. It waits for nothing if the
	// kubelet has fallen silent (longhorn-manager datastore, IsNodeDownOrDeleted).
	notReadyGrace = 15 * time.Second
	// attachWarning is when a kubelet first complains that a volume is not attached
	// (kubernetes pkg/kubelet/volumemanager, podAttachAndMountTimeout).
	attachWarning = 2*time.Minute + 3*time.Second
	// rebuildTime is how long a full rebuild takes unless an annotation says otherwise. It is short: nobody's data moves.
	rebuildTime = 5 * time.Second
	// reuseShare is the part of that time for a replica whose old files are still there.
	reuseShare = 5
	// salvageWindow is how long before the last one a replica may have failed to be brought back with it
	// (longhorn-manager volume_controller.go, AutoSalvageTimeLimit).
	salvageWindow = time.Minute
	// maxRebuilds is how often Longhorn tries to rebuild a replica (replica_scheduler.go, FailedReplicaMaxRetryCount).
	maxRebuilds = 5
	// retryTick is how often this program looks again at what it cannot watch.
	retryTick = time.Second
)
