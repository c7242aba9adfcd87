// Package traits has the differences between clusters that the storage and the database need, as properties of a cluster instead of
// its cloud's name. It imports no package of this program, so that all packages can import it.
package traits

// Traits are those of one kind of cluster.
type Traits struct {
	Storage Storage
	Service Service
}

// Storage is what a storage driver needs to know of the nodes.
type Storage struct {
	// KubeletRootDir is where the kubelet keeps pod directories. Empty: not known, so that the driver has to find it.
	KubeletRootDir string
	// LabelledDisksOnly keeps replicas off nodes without the driver's label.
	LabelledDisksOnly bool
	// DedicatedDisk says that each node has a disk for the replicas alone, so that little of it has to be kept free for the system.
	DedicatedDisk bool
	// PrepareNodes asks for a DaemonSet that makes every node ready for the driver; false where nodes boot prepared.
	PrepareNodes bool
	// SurgeNodes says that the cloud adds a node before it drains one, and waits long enough for a replica to be moved to it.
	SurgeNodes bool
	// NewDisks says that a node which has gone never comes back with its disk, so that waiting for it is of no use.
	NewDisks bool
	// BackupEndpoint is the address of the service that speaks S3 to a bucket which the program makes; empty where it is Amazon's or another
	// protocol.
	BackupEndpoint string
}

// Service is what a LoadBalancer Service needs to know of the platform.
type Service struct {
	// Annotations go on every LoadBalancer Service.
	Annotations map[string]string
	// InternalAnnotations go on a LoadBalancer Service that must not be reachable from outside the network.
	InternalAnnotations map[string]string
}
