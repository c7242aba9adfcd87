// Package standin plays, on simulated nodes, the parts that a cluster without disks cannot have: Longhorn (its manager,
// its driver deployer, the CSI sidecars and the CSI driver) and the kubelet's work with pods and their volumes.
//
// It follows what the vendors document and what their code does, never what ha-iris happens to need, and it writes the
// same objects (CSIDriver, CSINode, PersistentVolume, VolumeAttachment, Longhorn's own resources), so that Kubernetes'
// real controllers can do the rest.
package standin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// Options say which cluster to act in.
type Options struct {
	// Kubeconfig is the path of a kubeconfig with all rights.
	Kubeconfig string
	// Buckets is the directory that holds the buckets of backup targets. Real nodes see it under the same path. Empty: no target can
	// be reached.
	Buckets string
	// AgentModule is the directory of the agent's Go module, and Agents that of what its processes need. Empty: no agent runs.
	AgentModule, Agents string
	// NetworkDisk adds a second driver, of a disk in a network (networkdisk.go).
	NetworkDisk bool
	// ReadyFile is created once the controller has read the cluster and acts; empty for none.
	ReadyFile string
}

// Run acts until the context ends.
func Run(ctx context.Context, options Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 200 // it stands for a dozen programs that have 5 to 50 each
	controller, err := fromConfig(config)
	if err != nil {
		return err
	}
	controller.buckets, controller.networkDisk = options.Buckets, options.NetworkDisk
	if options.AgentModule != "" {
		controller.agents = newAgentProcesses(ctx, options.AgentModule, options.Agents, config, controller.log)
	}
	return controller.run(ctx, func() error {
		if options.ReadyFile == "" {
			return nil
		}
		if err := os.WriteFile(options.ReadyFile, []byte("ready\n"), 0o600); err != nil {
			return fmt.Errorf("create ready file: %w", err)
		}
		return nil
	})
}

func fromConfig(config *rest.Config) (*standIn, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	resources, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make dynamic client: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "longhorn-stand-in"})
	return newStandIn(client, resources, recorder, clock.RealClock{}, log, host+"_")
}

// standIn holds what the parts share.
type standIn struct {
	client    kubernetes.Interface
	longhorn  *store
	informers informers.SharedInformerFactory
	cache     caches
	recorder  record.EventRecorder
	clock     clock.Clock
	log       *slog.Logger
	// kwokPrefix begins the identity under which kwok holds the Lease of a node that is alive.
	kwokPrefix string

	loops       []*loop
	provisioner *provisionerSwitch
	ticks       *ticks
	// managing excludes the uninstaller while the manager's duties are done, and the other way round.
	managing sync.Mutex
	// uninstalled are the managers that the uninstaller has removed; caches may show them for a moment longer.
	uninstalled sync.Map
	// calls are the attacher's open ones, by attachment; only the attach loop uses them and the two that follow.
	calls map[string]*call
	// attacherPauses are those after calls that failed, by attachment.
	attacherPauses workqueue.TypedRateLimiter[string]
	// backend is the way to Longhorn of the CSI plugin beside the attacher.
	backend connection
	// podAddresses remembers who got which address last; only the pod loop uses it.
	podAddresses map[string]types.UID
	// dial is the way to an instance manager of a real node, and disks are those nodes' disks as last heard of.
	dial  func(podIP string) *imclient.Client
	disks sync.Map
	// settingsApplied is the version of the settings' ConfigMap that the longhorn loop applied last, targetApplied that of the
	// backup target's.
	settingsApplied, targetApplied string
	// buckets holds the buckets, and looks are the backup targets as last looked at, by name; only the data loop uses them.
	buckets string
	looks   map[string]targetLook
	// networkDisk: the driver of networkdisk.go is there too.
	networkDisk bool
	// agents run in place of their pods on simulated nodes; nil: none does.
	agents agents
	// schedules are the recurring jobs', by name, and jobRuns those under way; only the data loop uses them.
	schedules map[string]schedule
	jobRuns   []*jobRun
}

func newStandIn(
	client kubernetes.Interface, resources dynamic.Interface, recorder record.EventRecorder,
	clk clock.Clock, log *slog.Logger, kwokPrefix string,
) (*standIn, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	c := &standIn{
		client:     client,
		longhorn:   &store{client: resources},
		informers:  factory,
		recorder:   recorder,
		clock:      clk,
		log:        log,
		kwokPrefix: kwokPrefix,
		dial:       imclient.New,
		ticks:      newTicks(clk),
		calls:      map[string]*call{},
		looks:      map[string]targetLook{},
		schedules:  map[string]schedule{},

		attacherPauses: newAttacherPauses(),
		// One entry per address, of which a node has 254.
		podAddresses: map[string]types.UID{},
	}
	var err error
	if c.cache, err = newCaches(factory); err != nil {
		return nil, err
	}
	c.provisioner = newProvisionerSwitch(c)
	if err := errors.Join(
		c.addLonghornLoop(),
		c.addCSINodeLoop(),
		c.addAttachLoop(),
		c.addPersistentVolumeLoop(),
		c.addKubeletLoop(),
		c.addPodLoop(),
		c.addResizeLoop(),
		c.addFailoverLoop(),
		c.addUninstallLoop(),
		c.addDiskLoop(),
		c.addAgentLoop(),
	); err != nil {
		return nil, fmt.Errorf("watch the cluster: %w", err)
	}
	c.addDataLoop()
	return c, nil
}

// loop registers a loop that starts with the controller.
func (c *standIn) loop(name string, sync syncFunc) *loop {
	l := newLoop(name, c.log, sync)
	c.loops = append(c.loops, l)
	return l
}

func (c *standIn) run(ctx context.Context, ready func() error) error {
	c.informers.Start(ctx.Done())
	defer c.informers.Shutdown()
	for kind, synced := range c.informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("read %v: %w", kind, context.Cause(ctx))
		}
	}
	var running sync.WaitGroup
	for _, l := range c.loops {
		running.Go(func() { l.run(ctx) })
	}
	if err := ready(); err != nil {
		return err
	}
	if c.networkDisk {
		running.Go(func() { c.provisionDisks(ctx) })
	}
	c.log.Info("acting as Longhorn and as the kubelets", "network disk", c.networkDisk)
	running.Wait()
	c.provisioner.off()
	return nil
}
