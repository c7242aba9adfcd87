package program

import (
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/cluster"
	"ha-iris/iris"
	"ha-iris/storage"
)

// Outputs is the stack's contract with other stacks. A name or a type changes only with a major version.
type Outputs struct {
	// PortalURL opens the management portal. With a ClusterIP Service it is the port-forward command that makes the
	// portal reachable; while a load balancer has no address yet it says so.
	PortalURL pulumi.StringOutput `pulumi:"portalUrl"`
	// IRISHost is the host name or address at which clients reach IRIS.
	IRISHost pulumi.StringOutput `pulumi:"irisHost"`
	// SuperserverPort is the port for xDBC and native clients on irisHost; 0 when iris.service.superserver does not offer
	// it.
	SuperserverPort pulumi.IntOutput `pulumi:"superserverPort"`
	// Namespace is the Kubernetes namespace of IRIS.
	Namespace pulumi.StringOutput `pulumi:"namespace"`
	// ServiceName is the Kubernetes Service of IRIS; SERVICENAME.NAMESPACE.svc is its name inside the cluster.
	ServiceName pulumi.StringOutput `pulumi:"serviceName"`
	// StorageClass is the StorageClass of the database volume.
	StorageClass pulumi.StringOutput `pulumi:"storageClass"`
	// ClaimName is the PersistentVolumeClaim of the database volume: another one with each iris.generation.
	ClaimName pulumi.StringOutput `pulumi:"claimName"`
	// BackupTarget is where the volume is backed up to (storage.backup.target), without mount options; empty without backups.
	BackupTarget pulumi.StringOutput `pulumi:"backupTarget"`
	// RecoveryPoint is the longest time between two backups that are due, such as 15m: with the time that a backup takes, the most that
	// is lost with the volume. Those for which IRIS is frozen are beside these and do not count. Empty without backups.
	RecoveryPoint pulumi.StringOutput `pulumi:"recoveryPoint"`
	// LonghornUICommand makes Longhorn's UI reachable at http://127.0.0.1:9000 with kubectl: it has no login, so never expose it. Empty
	// when this stack installs no Longhorn.
	LonghornUICommand pulumi.StringOutput `pulumi:"longhornUiCommand"`
	// ClusterName is the name of the Kubernetes cluster.
	ClusterName pulumi.StringOutput `pulumi:"clusterName"`
	// Kubeconfig gives access to the cluster with the rights of this program. Secret.
	Kubeconfig pulumi.StringOutput `pulumi:"kubeconfig"`
}

func newOutputs(kubernetes *cluster.Cluster, volumes *storage.Storage, database *iris.IRIS) *Outputs {
	return &Outputs{
		PortalURL:       database.PortalURL,
		IRISHost:        database.Host,
		SuperserverPort: database.SuperserverPort,
		Namespace:       database.Namespace,
		ServiceName:     database.ServiceName,
		StorageClass:    volumes.ClassName,
		ClaimName:       database.ClaimName,
		BackupTarget:    volumes.BackupTarget,
		RecoveryPoint:   volumes.RecoveryPoint,

		LonghornUICommand: volumes.UICommand,
		ClusterName:       kubernetes.Name,
		Kubeconfig:        kubernetes.Kubeconfig,
	}
}

// export publishes every field under the name in its tag.
func (o *Outputs) export(ctx *pulumi.Context) {
	fields := reflect.ValueOf(*o)
	for i := range fields.NumField() {
		if output, ok := fields.Field(i).Interface().(pulumi.Input); ok {
			ctx.Export(fields.Type().Field(i).Tag.Get("pulumi"), output)
		}
	}
}
