// Package iris runs one InterSystems IRIS instance that Kubernetes restarts wherever it can run, on a volume that follows
// it. It names no cloud, and of the storage it knows the name of a class.
//
// Comments cite the vendor's documentation by the key of the book, as in docs.intersystems.com (KEY=ADOCK): ACLOUD
// (Community Edition), ACMF (configuration merge), ADOCK (containers), ARES (memory), CLS (class reference), GCDI (data
// integrity), GCM (monitoring), GSA (system administration), RACS (configuration parameters).
package iris

import (
	"context"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/owner"
	"ha-iris/internal/pods"
	"ha-iris/internal/rules"
	"ha-iris/internal/traits"
)

const componentType = "ha-iris:iris:IRIS"

// Cluster is the API server of the cluster that the database runs on.
type Cluster interface {
	pods.Cluster
	// Create posts an object to a list's path and reads the answer into a pointer.
	Create(ctx context.Context, path string, object, into any) error
}

// Args is what New needs.
type Args struct {
	Config   Config
	Provider pulumi.ProviderResource
	// API is the API server of the cluster, which is asked whether the database is ready, and for a backup before another image. Nil: an
	// update does neither.
	API Cluster
	// Owner marks the objects as the stack's and refuses to take over others. Nil: neither.
	Owner *owner.Stack
	// StorageClass is the class of the data volume. It should be a plain value: an output that becomes unknown, because
	// the class is replaced, makes Pulumi plan to replace the volume.
	StorageClass pulumi.StringInput
	// LaterClasses are the classes of the generations after the first; one without an entry has StorageClass.
	LaterClasses map[int]string
	// Restorer fills volumes from backups. Nil: the storage does not.
	Restorer Restorer
	// ClaimLabels are labels by which the storage knows what to do with the volume, such as backing it up; none: nothing. A change is
	// an update of the claim.
	ClaimLabels map[string]string
	Service     traits.Service
	// Lifetime is nil, or the resource whose deletion takes in-cluster objects with it, so that they need not be deleted
	// one by one. Not used for the LoadBalancer, which lives outside the cluster, nor for protected data.
	Lifetime pulumi.Resource
	// After are resources without which the data volume cannot be provisioned.
	After []pulumi.Resource
	// Snapshots are what deletes VolumeSnapshots; none where the storage takes none. The namespace is deleted before them, with those that
	// somebody has left in it, and so is made after them.
	Snapshots []pulumi.Resource
}

// IRIS is a running instance.
type IRIS struct {
	pulumi.ResourceState

	// Namespace is the Kubernetes namespace that everything is in.
	Namespace pulumi.StringOutput
	// ClaimName is the name of the claim that it runs on.
	ClaimName pulumi.StringOutput
	// ServiceName is the name of the Service.
	ServiceName pulumi.StringOutput
	// Host is the address for clients: of the load balancer, or the Service's name inside the cluster. For a NodePort it
	// is NODE_ADDRESS, which stands for any node's.
	Host pulumi.StringOutput
	// PortalURL is the Management Portal's URL; for a ClusterIP the command that forwards a port to it; while a load
	// balancer has no address yet, a text that says so.
	PortalURL pulumi.StringOutput
	// SuperserverPort is the port for JDBC, ODBC and DB-API at Host; 0 when the Service does not offer it.
	SuperserverPort pulumi.IntOutput
}

// New runs IRIS. The configuration was validated (Config.ValidateOn). It returns an error, before any resource is registered, when
// iris.memory is no size or no salt can be drawn for the password.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*IRIS, error) {
	plan, err := args.plan(ctx)
	if err != nil {
		return nil, err
	}
	i := &IRIS{}
	if err := i.register(ctx, name, args, opts); err != nil {
		return nil, fmt.Errorf("iris: register %q: %w", name, err)
	}
	if err := i.provision(ctx, name, args, plan); err != nil {
		return nil, fmt.Errorf("iris: %w", err)
	}
	outputs := pulumi.Map{
		"namespace": i.Namespace, "serviceName": i.ServiceName, "host": i.Host,
		"portalUrl": i.PortalURL, "superserverPort": i.SuperserverPort,
	}
	if err := ctx.RegisterResourceOutputs(i, outputs); err != nil {
		return nil, fmt.Errorf("iris: register outputs of %q: %w", name, err)
	}
	return i, nil
}

// plan is everything that can be computed without a resource, and so is known in every preview.
type plan struct {
	memory      memoryPlan
	cpf         string
	credentials credentials
	// configChecksum rolls the pod when the merge file changes.
	configChecksum string
}

func (a *Args) plan(ctx *pulumi.Context) (*plan, error) {
	limit, err := rules.ParseSize(a.Config.Memory)
	if err != nil {
		return nil, fmt.Errorf("iris.memory: %w", err)
	}
	scope := fmt.Sprintf("%s/%s/%s/%s", ctx.Organization(), ctx.Project(), ctx.Stack(), a.Config.Namespace)
	credentials, err := newCredentials(a.Config.Password, a.Config.Actions, scope)
	if err != nil {
		return nil, fmt.Errorf("iris: %w", err)
	}
	memory := planMemory(limit, a.Config)
	file := newCPF(a.Config, memory).render()
	return &plan{
		memory: memory, cpf: file, credentials: credentials,
		configChecksum: checksum(append([]string{file, webServerScript(a.Config), gatewayINI(a.Config), gatewayConf(a.Config)},
			a.Config.Actions...)...),
	}, nil
}

func (i *IRIS) register(ctx *pulumi.Context, name string, args *Args, opts []pulumi.ResourceOption) error {
	guard, err := guardIdentity(ctx, name, args)
	if err != nil {
		return err
	}
	part := owner.Part{
		Namespace: args.Config.Namespace,
		Advice:    map[string]string{"": "iris.namespace: a name that is free"},
	}
	own := append([]pulumi.ResourceOption{pulumi.Provider(args.Provider), args.Owner.Of(part), guard}, opts...)
	return ctx.RegisterComponentResourceV2(componentType, name, claimInputs(args), i, own...)
}

// provision creates the objects. Each step takes what it needs of those before it. The Service and the ServiceMonitors
// find pods by their labels, so they need nothing of the workload.
func (i *IRIS) provision(ctx *pulumi.Context, name string, args *Args, plan *plan) error {
	s := &scope{ctx: ctx, name: name, parent: i, cfg: args.Config, lifetime: args.Lifetime}
	data, err := s.data(args)
	if err != nil {
		return err
	}
	moved, filled, err := s.guardFilled(args)
	if err != nil {
		return err
	}
	upgrade, err := s.guardUpgrade(args.API, moved)
	if err != nil {
		return err
	}
	configuration, err := s.configuration(data.namespace, plan)
	if err != nil {
		return err
	}
	policies, err := s.policies(data.namespace)
	if err != nil {
		return err
	}
	if err := s.prePull(data.namespace, configuration, policies); err != nil {
		return err
	}
	s.remark()
	class, err := s.priorityClass(data.namespace)
	if err != nil {
		return err
	}
	guard, err := s.guard(data, configuration, policies, class, args.After, filled)
	if err != nil {
		return err
	}
	backups, err := s.backups(data, configuration, policies, args, filled)
	if err != nil {
		return err
	}
	rollout := s.newRollout(args.API)
	deployment, err := s.workload(data, configuration, policies, class, slices.Concat(guard, backups), rollout, upgrade, filled)
	if err != nil {
		return err
	}
	if err := s.verifications(data, configuration, policies, deployment, args, filled); err != nil {
		return err
	}
	service, err := s.service(data.namespace, args.Service)
	if err != nil {
		return err
	}
	if err := s.watching(data, filled); err != nil {
		return err
	}
	i.Namespace, i.ServiceName = data.namespace.name(), service.name
	i.ClaimName = pulumi.String(args.Config.claimName()).ToStringOutput()
	ready := rollout.after(s.ctx, deployment)
	i.Host, i.PortalURL, i.SuperserverPort = onceKnown(service.host, ready), onceKnown(service.portalURL, ready), service.superserverPort
	return nil
}

// remark says what the configuration leaves out for want of something else.
func (s *scope) remark() {
	for _, text := range []string{s.cfg.failoverRemark(), s.cfg.backupRemark(), s.cfg.verifyRemark()} {
		if text != "" {
			_ = s.ctx.Log.Info(text, &pulumi.LogArgs{Resource: s.parent}) // A failure to log does not stop the run.
		}
	}
}
