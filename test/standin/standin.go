package standin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"

	"ha-iris/test/standin/internal/wire"
)

// The packages that Start can stand in for.
const (
	AWS   = "aws"
	GCP   = "gcp"
	Azure = "azure-native"
)

// maxMessage is the engine's own limit for a message (pulumi/sdk rpcutil.GrpcChannelOptions, 400 MiB).
const maxMessage = 400 << 20

// Options says what the clouds are like.
type Options struct {
	// Kubeconfig leads to the API server that every cluster turns out to be. Required.
	Kubeconfig []byte
	// Packages are the clouds to start. Default: all.
	Packages []string
	// CLIDir is where InstallCLI put the stand-ins for the vendors' command line tools; Env puts it first in PATH.
	// Default: none.
	CLIDir string
	// LoadBalancersLeft tells how many load balancers Kubernetes has not taken down yet. They hold on to the network
	// they are in. Default: none are left.
	LoadBalancersLeft func() int
	// Machines makes node pools have machines. Default: their sizes are remembered only.
	Machines *Machines
	// Quotas limit what node pools can have. Default: no limit.
	Quotas Quotas
	// Account is the AWS account and Subscription the Azure subscription. Default: made-up ones.
	Account, Subscription string
}

// Clouds are the clouds of one test. Its methods are safe for concurrent use.
type Clouds struct {
	options   Options
	servers   []*grpc.Server
	ports     map[string]int
	serving   sync.WaitGroup
	ticketDir string
	// fleet is nil without Options.Machines.
	fleet *fleet

	mu         sync.Mutex
	world      world
	journal    []*Entry
	faults     []plannedFault
	delays     map[operation]time.Duration
	denied     map[string]bool
	busy       map[string]busy
	soldOut    map[string]bool
	canceled   chan struct{}
	connection connection
	ticket     wire.Ticket
	webhooks   []*http.Server
}

// Object is a resource that exists in a cloud.
type Object struct {
	Type, ID string
	// Name is the resource's name in the program that made it, and URN its URN; empty for what Add made.
	Name, URN string
	// Outputs are its properties, secrets included in the open.
	Outputs map[string]any
}

// Start starts the clouds on loopback. Close ends them, and so does the end of ctx.
func Start(ctx context.Context, options Options) (*Clouds, error) {
	c, err := newClouds(options)
	if err != nil {
		return nil, err
	}
	for _, pkg := range c.options.Packages {
		if err := c.serve(ctx, pkg); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	context.AfterFunc(ctx, c.stop)
	return c, nil
}

func newClouds(options Options) (*Clouds, error) {
	if len(options.Packages) == 0 {
		options.Packages = []string{AWS, Azure, GCP}
	}
	options.Account = cmp.Or(options.Account, "123456789012")
	options.Subscription = cmp.Or(options.Subscription, "00000000-0000-4000-8000-000000000001")
	c := &Clouds{
		options: options, ports: map[string]int{}, delays: map[operation]time.Duration{}, denied: map[string]bool{},
		busy: map[string]busy{}, soldOut: map[string]bool{},
		canceled: make(chan struct{}),
	}
	if options.Machines != nil {
		c.fleet = newFleet(c, *options.Machines)
	}
	if err := c.openTicket(); err != nil {
		return nil, err
	}
	if err := c.SetKubeconfig(options.Kubeconfig); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.ticketDir))
	}
	return c, nil
}

// cloudOf returns the behaviour of a package.
func cloudOf(pkg string) (*cloud, error) {
	switch pkg {
	case AWS:
		return awsCloud(), nil
	case GCP:
		return gcpCloud(), nil
	case Azure:
		return azureCloud(), nil
	default:
		return nil, fmt.Errorf("package %q: want one of %s, %s, %s", pkg, AWS, Azure, GCP)
	}
}

func (c *Clouds) serve(ctx context.Context, pkg string) error {
	behaviour, err := cloudOf(pkg)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for %s: %w", pkg, err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("listen for %s: address %v is not TCP", pkg, listener.Addr())
	}
	c.ports[pkg] = address.Port
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	pulumirpc.RegisterResourceProviderServer(server, &provider{cloud: behaviour, clouds: c, config: fields{}})
	c.servers = append(c.servers, server)
	c.serving.Go(func() {
		// Serve returns an error only for a listener that broke; the engine then reports that it cannot connect.
		_ = server.Serve(listener)
	})
	return nil
}

// Env returns the environment in which the engine finds the clouds instead of plugins, and a kubeconfig the command
// line tools.
func (c *Clouds) Env() []string {
	attached := make([]string, 0, len(c.ports))
	for pkg, port := range c.ports {
		attached = append(attached, fmt.Sprintf("%s:%d", pkg, port))
	}
	sort.Strings(attached)
	env := []string{
		"PULUMI_DEBUG_PROVIDERS=" + strings.Join(attached, ","),
		wire.Env + "=" + c.ticketFile(),
	}
	if c.options.CLIDir != "" {
		env = append(env, "PATH="+c.options.CLIDir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return env
}

// Close stops the clouds.
func (c *Clouds) Close() error {
	c.cancel()
	c.stop()
	c.serving.Wait()
	if err := os.RemoveAll(c.ticketDir); err != nil {
		return fmt.Errorf("remove credentials: %w", err)
	}
	return nil
}

func (c *Clouds) stop() {
	for _, server := range c.servers {
		server.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, webhook := range c.webhooks {
		_ = webhook.Close() // Its listener is gone either way.
	}
}

// cancel gives up every operation that lingers. Later ones are not affected: another engine run may follow.
func (c *Clouds) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.canceled)
	c.canceled = make(chan struct{})
}

// DenyCredentials makes a package's provider find no credentials, or find them again.
func (c *Clouds) DenyCredentials(pkg string, deny bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied[pkg] = deny
}

func (c *Clouds) isDenied(pkg string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.denied[pkg]
}

// Resources returns what exists, oldest first. Without types it returns everything.
func (c *Clouds) Resources(types ...string) []Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []Object
	for _, o := range c.world.objects {
		if len(types) == 0 || slices.Contains(types, o.typ) {
			found = append(found, Object{
				Type: o.typ, ID: o.id, Name: o.logical(), URN: o.urn, Outputs: toFields(o.outputs),
			})
		}
	}
	return found
}

// Add puts a resource into a cloud that no program of the test makes: a network that is already there. The type's rules
// do not apply to it, except that it holds on to what it lies in.
func (c *Clouds) Add(typ, id string, outputs map[string]any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.world.find(typ, id) != nil {
		return fmt.Errorf("add %s %s: it exists", typ, id)
	}
	c.world.put(&object{typ: typ, id: id, inputs: resource.PropertyMap{}, outputs: toProperties(outputs)})
	return nil
}

// Remove takes a resource away behind the engine's back, as somebody with access to the cloud could.
func (c *Clouds) Remove(typ, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	existing := c.world.find(typ, id)
	if existing == nil {
		return fmt.Errorf("remove %s %s: it does not exist", typ, id)
	}
	c.world.drop(existing)
	return nil
}
