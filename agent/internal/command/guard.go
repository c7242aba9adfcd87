// Package command has the agent's subcommands: their flags, and what they put together.
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/guard"
	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/watchman"
)

// guardName is how the guard calls itself in requests and events.
const guardName = "ha-iris-guard"

// Guard returns the command that frees the database's pod when its node is lost.
func Guard() *cobra.Command {
	options := guardDefaults()
	command := &cobra.Command{
		Use:   "guard",
		Short: "Frees the database's pod when its node is lost",
		Long: "Frees the database's pod and volume when its node is lost, in the order that loses nothing, and answers\n" +
			"the check in the database's pod (/alive). Run three of them, on different nodes: one leads, all answer.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runGuard(command.Context(), options, command.ErrOrStderr())
		},
	}
	options.bind(command.Flags())
	return command
}

// runGuard runs until the context ends, or the guard cannot answer or stand for election at all. An API server that is away is no
// reason to end.
func runGuard(ctx context.Context, options *guardOptions, stderr io.Writer) error {
	config, err := options.config()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	klog.SetSlogLogger(log)
	clock, err := boottime.New()
	if err != nil { // A machine for trying it out, such as the sandbox on macOS: one that never sleeps in the middle.
		log.Warn("the time in which this machine sleeps is not counted", "error", err)
		begun := time.Now()
		clock = func() time.Duration { return time.Since(begun) }
	}
	cluster, err := kube.Connect(options.kubeconfig, guardName)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", options.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	log.Info("started", "mode", options.mode, "claim", options.namespace+"/"+options.claim, "node", options.node, "pod", options.pod,
		"proofs", fmt.Sprint(config.Proofs), "longhorn", options.longhornNamespace, "listen", listener.Addr().String())
	return assembled{options, config, cluster, log, watchman.NewMetrics(), clock}.run(ctx, listener)
}

// assembled is a guard that is ready to run.
type assembled struct {
	options *guardOptions
	config  guard.Config
	cluster *kube.Cluster
	log     *slog.Logger
	metrics *watchman.Metrics
	clock   boottime.Clock
}

func (g assembled) run(ctx context.Context, listener net.Listener) error {
	recorder, shutdown := g.recorder(ctx)
	defer shutdown()
	terms := watchman.DefaultTerms()
	voucher := watchman.NewVoucher(g.clock, terms, g.identity())
	campaign := watchman.NewCampaign(watchman.NewDeferring(g.lock(), g.clock, g.config.KnownFor), terms, g.term(recorder, voucher), g.log, g.metrics)
	handler := watchman.Handler(g.options.node, voucher.Say, campaign.Known, g.metrics)
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error { return watchman.Serve(within, listener, handler) })
	group.Go(func() error { return campaign.Run(within) })
	group.Go(func() error {
		voucher.Watch(within, g.lock())
		return nil
	})
	return group.Wait()
}

// recorder writes events, and ends with the function that it returns.
func (g assembled) recorder(ctx context.Context) (record.EventRecorder, func()) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: g.cluster.Core.Events("")})
	source := corev1.EventSource{Component: guardName, Host: g.options.node}
	return broadcaster.NewRecorder(scheme.Scheme, source), broadcaster.Shutdown
}

func (g assembled) identity() string { return watchman.Identity(g.options.pod, g.options.node) }

func (g assembled) lock() resourcelock.Interface {
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: g.options.namespace, Name: g.options.lease},
		Client:     g.cluster.Coordination,
		LockConfig: resourcelock.ResourceLockConfig{Identity: g.identity()},
	}
}

// term is one term of leading, which begins with knowing nothing.
func (g assembled) term(recorder record.EventRecorder, voucher *watchman.Voucher) func(context.Context) {
	target := kube.Target{
		Namespace: g.options.namespace, Claim: g.options.claim, Node: g.options.node, Pod: g.options.pod, LonghornNamespace: g.options.longhornNamespace,
	}
	return func(ctx context.Context) {
		var labelling sync.WaitGroup
		defer labelling.Wait() // A term has ended when nothing of it writes any more.
		if g.config.Mode == guard.ModeGuard {
			labelling.Go(func() { watchman.NewLabelling(kube.NewLabeller(g.cluster, target), g.log).Run(ctx) })
		}
		reporter := watchman.NewReporter(target.Namespace, g.log, recorder, g.metrics)
		watchman.NewLoop(g.config, kube.NewReader(g.cluster, target), kube.NewActor(g.cluster, target), reporter, voucher).Run(ctx)
	}
}
