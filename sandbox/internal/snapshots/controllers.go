package snapshots

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	snapshotinformers "github.com/kubernetes-csi/external-snapshotter/client/v8/informers/externalversions"
	commoncontroller "github.com/kubernetes-csi/external-snapshotter/v8/pkg/common-controller"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/features"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/metrics"
	sidecarcontroller "github.com/kubernetes-csi/external-snapshotter/v8/pkg/sidecar-controller"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/snapshotter"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

func retries() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
}

// waitForWorkers has the controllers' Run count its workers in the WaitGroup that it is given. Without this feature gate, whose name is that
// of what their programs need it for, it leaves the WaitGroup alone, and they work on after Run.
func waitForWorkers() error {
	if err := feature.DefaultMutableFeatureGate.Set(string(features.ReleaseLeaderElectionOnExit) + "=true"); err != nil {
		return fmt.Errorf("switch on that controllers wait for their workers: %w", err)
	}
	return nil
}

// control is the snapshot-controller, of which a cluster has one whatever its drivers are.
func control(ctx context.Context, api clients) {
	kinds := snapshotinformers.NewSharedInformerFactory(api.snapshots, resync)
	core := informers.NewSharedInformerFactory(api.core, resync)
	controller := commoncontroller.NewCSISnapshotCommonController(
		api.snapshots, api.core,
		kinds.Snapshot().V1().VolumeSnapshots(), kinds.Snapshot().V1().VolumeSnapshotContents(), kinds.Snapshot().V1().VolumeSnapshotClasses(),
		nil, nil, nil, // kinds of groups
		core.Core().V1().PersistentVolumeClaims(), core.Core().V1().PersistentVolumes(), nil,
		metrics.NewMetricsManager(), resync, retries(), retries(), retries(), retries(),
		false, // distributed snapshotting, for drivers on each node
		true,  // prevent another volume mode
		false, // groups
	)
	kinds.Start(ctx.Done())
	core.Start(ctx.Done())
	var working sync.WaitGroup
	controller.Run(workers, ctx.Done(), &working)
	working.Wait() // See waitForWorkers.
	kinds.Shutdown()
	core.Shutdown()
}

const (
	driverName = "driver.longhorn.io"
	// sidecarTimeout is what Longhorn gives its csi-snapshotter as --timeout (longhorn-manager csi/deployment.go).
	sidecarTimeout = 110 * time.Second
	// look is how often this looks whether the csi-snapshotter's pods run.
	look = time.Second
)

// standBeside runs the csi-snapshotter while Longhorn's pods of that name run.
func standBeside(ctx context.Context, api clients) {
	var stop func()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		namespace, err := api.namespaceOf(ctx, sidecarApp)
		switch {
		case err != nil:
			klog.Warningf("look for Longhorn's csi-snapshotter: %v", err)
		case namespace != "" && stop == nil:
			stop = start(ctx, api, namespace) // nil, if that failed: it is tried again at the next look.
		case namespace == "" && stop != nil:
			stop()
			stop = nil
		}
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
			}
			return
		case <-ticker.C:
		}
	}
}

// start starts the csi-snapshotter and the driver that it talks to, and returns what ends both; nil if it could not, and nothing runs.
func start(ctx context.Context, api clients, namespace string) func() {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	connection, err := serve(ctx, &running, &driver{clients: api, namespace: namespace, pause: poll})
	if err != nil {
		klog.Errorf("connect to Longhorn's driver: %v", err)
		cancel()
		running.Wait()
		return nil
	}
	running.Go(func() { snapshot(ctx, api, connection) })
	return func() {
		cancel()
		running.Wait()
		_ = connection.Close() // Nothing is under way on it any more.
	}
}

// serve starts the driver, and returns the way to it, in place of the socket in the pod.
func serve(ctx context.Context, running *sync.WaitGroup, driver *driver) (*grpc.ClientConn, error) {
	const buffer = 1 << 20
	listener := bufconn.Listen(buffer)
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, driver)
	csi.RegisterControllerServer(server, driver)
	running.Go(func() { _ = server.Serve(listener) }) // It ends by Stop only.
	context.AfterFunc(ctx, server.Stop)
	return grpc.NewClient("passthrough:///driver", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
}

// snapshot is the csi-snapshotter.
func snapshot(ctx context.Context, api clients, connection *grpc.ClientConn) {
	kinds := snapshotinformers.NewSharedInformerFactory(api.snapshots, resync)
	controller := sidecarcontroller.NewCSISnapshotSideCarController(
		api.snapshots, api.core, driverName,
		kinds.Snapshot().V1().VolumeSnapshotContents(), kinds.Snapshot().V1().VolumeSnapshotClasses(),
		snapshotter.NewSnapshotter(connection), nil,
		sidecarTimeout, resync, "snapshot", -1, "groupsnapshot", -1, false, retries(),
		false, nil, nil, retries(), // no groups
	)
	kinds.Start(ctx.Done())
	var working sync.WaitGroup
	controller.Run(workers, ctx.Done(), &working)
	working.Wait() // See waitForWorkers.
	kinds.Shutdown()
}
