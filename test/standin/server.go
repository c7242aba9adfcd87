package standin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// cloud is one vendor's behaviour.
type cloud struct {
	// pkg is the Pulumi package; version the SDK's that the kinds were read from.
	pkg, version string
	// bridged says that the real provider is a Terraform provider behind pulumi-terraform-bridge, which names, previews
	// and replaces differently from azure-native.
	bridged bool
	kinds   map[string]*kind
	invokes map[string]invoke
	// prepare fills in inputs that depend on the provider's configuration. Nil: none do.
	prepare func(p *provider, k *kind, olds, inputs resource.PropertyMap)
	// checkConfig refuses a provider configuration. Nil: anything goes.
	checkConfig func(config fields, found *refusals)
	// replacedBy are provider inputs whose change makes the provider, and all it made, a new one.
	replacedBy []string
	// denied is what the provider says without credentials. It says so when it is configured, or earlier, when its
	// configuration is checked, if deniedEarly says so. Nil: it is not early.
	denied      string
	deniedEarly func(config fields) bool
}

// invoke answers a function.
type invoke func(c *change) (fields, error)

// provider speaks the engine's protocol for one cloud.
type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	cloud  *cloud
	clouds *Clouds
	// config is the provider's configuration as last given; guarded by the lock of Clouds.
	config fields
}

// change is one operation as a kind sees it.
type change struct {
	*world
	p     *provider
	entry *Entry
	id    string
	// in are the inputs and was the ones before, for an update.
	in, was fields
	// out is what the cloud decides; for an update it starts with what it had decided.
	out fields
	// work is what is left to do with machines.
	work func(context.Context) error
	// partial is why a resource that now exists is not in order.
	partial error
}

// failAfter reports a failure that leaves the resource behind.
func (c *change) failAfter(err error) { c.partial = err }

// then does something with machines after the resource is made or changed, and before it is deleted, without the lock of
// Clouds: it takes its time. Without machines there is nothing to do.
func (c *change) then(work func(context.Context, *fleet) error) {
	f := c.p.clouds.fleet
	if f == nil {
		return
	}
	before := c.work
	c.work = func(ctx context.Context) error {
		if before != nil {
			if err := before(ctx); err != nil {
				return err
			}
		}
		return work(ctx, f)
	}
}

// cascade removes a resource that goes with the one being deleted.
func (c *change) cascade(o *object) {
	now := time.Now()
	c.p.clouds.journal = append(c.p.clouds.journal, &Entry{
		Started: now, Ended: now, Op: Cascade, Type: o.typ, Name: o.logical(), URN: o.urn, ID: o.id,
	})
	c.drop(o)
}

// Handshake is the first thing the engine asks. The answers are those of the real providers.
func (p *provider) Handshake(
	context.Context, *pulumirpc.ProviderHandshakeRequest,
) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true}, nil
}

// Attach is called because the engine did not start this process.
func (p *provider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// GetPluginInfo returns the version whose schema the kinds follow.
func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.cloud.version}, nil
}

// GetMapping has nothing to tell: nobody converts programs here.
func (p *provider) GetMapping(context.Context, *pulumirpc.GetMappingRequest) (*pulumirpc.GetMappingResponse, error) {
	return &pulumirpc.GetMappingResponse{}, nil
}

// Cancel gives up what is under way.
func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.clouds.cancel()
	return &emptypb.Empty{}, nil
}

// CheckConfig validates the provider's configuration.
func (p *provider) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	var found refusals
	if p.cloud.checkConfig != nil {
		p.cloud.checkConfig(toFields(news), &found)
	}
	if early := p.cloud.deniedEarly; early != nil && early(toFields(news)) && p.clouds.isDenied(p.cloud.pkg) {
		found.add("", "%s", p.cloud.denied)
	}
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: found.failures}, nil
}

// DiffConfig says whether a changed configuration is still the same cloud.
func (p *provider) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	config := kind{replaces: p.cloud.replacedBy}
	return config.diff(p.cloud, olds, news, nil), nil
}

// Configure takes the provider's configuration.
func (p *provider) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	config, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	if p.clouds.isDenied(p.cloud.pkg) {
		return nil, errors.New(p.cloud.denied)
	}
	p.clouds.mu.Lock()
	defer p.clouds.mu.Unlock()
	p.config = toFields(config)
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, AcceptResources: true, SupportsPreview: true}, nil
}

// Check validates the inputs of a resource and fills in names and defaults.
func (p *provider) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	p.clouds.mu.Lock()
	inputs, failures := k.check(p, req, olds, news)
	p.clouds.mu.Unlock()
	checked, err := marshal(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: checked, Failures: failures}, nil
}

// Diff plans a change.
func (p *provider) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	outputs, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	return k.diff(p.cloud, olds, news, outputs), nil
}

// Create makes a resource.
func (p *provider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	inputs, err := unmarshal(req.GetProperties())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		p.clouds.end(p.clouds.begin(p.entry(Create, req.GetUrn(), "", true)), nil)
		outputs, err := marshal(k.previewCreate(inputs))
		return &pulumirpc.CreateResponse{Properties: outputs}, err
	}
	var made *object
	err = p.perform(ctx, p.entry(Create, req.GetUrn(), "", false), func(entry *Entry) (work machineWork, err error) {
		made, work, err = p.create(entry, k, inputs)
		if made != nil {
			entry.ID = made.id
		}
		return work, err
	})
	if err != nil {
		return nil, p.explain(err, made, inputs)
	}
	outputs, err := marshal(made.outputs)
	return &pulumirpc.CreateResponse{Id: made.id, Properties: outputs}, err
}

func (p *provider) create(entry *Entry, k *kind, inputs resource.PropertyMap) (*object, machineWork, error) {
	c := p.change(entry)
	c.in, c.out = toFields(withoutInternals(inputs)), fields{}
	if err := k.create(c); err != nil {
		return nil, nil, err
	}
	made := &object{
		typ: entry.Type, id: c.id, urn: entry.URN,
		inputs: withoutInternals(inputs), outputs: k.outputs(inputs, c.out),
	}
	c.put(made)
	if c.partial != nil {
		return made, nil, &partialError{err: c.partial}
	}
	return made, c.partially(), nil
}

// Update changes a resource in place.
func (p *provider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		return p.previewUpdate(k, req, news)
	}
	var changed *object
	err = p.perform(ctx, p.entry(Update, req.GetUrn(), req.GetId(), false), func(entry *Entry) (work machineWork, err error) {
		changed, work, err = p.update(entry, k, news)
		return work, err
	})
	if err != nil {
		return nil, p.explain(err, changed, news)
	}
	outputs, err := marshal(changed.outputs)
	return &pulumirpc.UpdateResponse{Properties: outputs}, err
}

func (p *provider) previewUpdate(
	k *kind, req *pulumirpc.UpdateRequest, news resource.PropertyMap,
) (*pulumirpc.UpdateResponse, error) {
	p.clouds.end(p.clouds.begin(p.entry(Update, req.GetUrn(), req.GetId(), true)), nil)
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	was, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	outputs, err := marshal(k.previewUpdate(p.cloud, news, olds, was))
	return &pulumirpc.UpdateResponse{Properties: outputs}, err
}

func (p *provider) update(entry *Entry, k *kind, inputs resource.PropertyMap) (*object, machineWork, error) {
	c := p.change(entry)
	existing := c.find(entry.Type, entry.ID)
	if existing == nil {
		return nil, nil, fmt.Errorf("%s %s does not exist", entry.Type, entry.ID)
	}
	c.in, c.was = toFields(withoutInternals(inputs)), toFields(existing.inputs)
	c.out = k.carried(c.in, toFields(existing.outputs))
	if k.update != nil {
		if err := k.update(c); err != nil {
			return nil, nil, err
		}
	}
	existing.inputs, existing.outputs = withoutInternals(inputs), k.outputs(inputs, c.out)
	existing.urn = entry.URN
	if c.partial != nil {
		return existing, nil, &partialError{err: c.partial}
	}
	return existing, c.partially(), nil
}

// partially makes a failure with machines one of a resource that exists: the bridge and azure-native keep what was asked
// for in the engine's state then, and say why it is not in order (pulumi-terraform-bridge pkg/tfbridge/provider.go,
// Update; azure-native provider.go, HandleErrorWithCheckpoint).
func (c *change) partially() machineWork {
	if c.work == nil {
		return nil
	}
	work := c.work
	return func(ctx context.Context) error {
		if err := work(ctx); err != nil {
			return &partialError{err: err}
		}
		return nil
	}
}

// Delete removes a resource. One that is gone already is no error, to any of the real providers.
func (p *provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	state, err := unmarshal(req.GetProperties())
	if err != nil {
		return nil, err
	}
	err = p.perform(ctx, p.entry(Delete, req.GetUrn(), req.GetId(), false), func(entry *Entry) (machineWork, error) {
		c := p.change(entry)
		existing := c.find(entry.Type, entry.ID)
		if existing == nil {
			return nil, nil
		}
		// What the provider knows is the engine's state, not the cloud's: Terraform's deletion_protection is nowhere else.
		c.in, c.out = toFields(state), existing.fields()
		if k.remove != nil {
			if err := k.remove(c); err != nil {
				return nil, err
			}
		}
		if c.work == nil {
			c.drop(existing)
			return nil, nil
		}
		return func(ctx context.Context) error {
			if err := c.work(ctx); err != nil {
				return err
			}
			p.clouds.mu.Lock()
			defer p.clouds.mu.Unlock()
			c.drop(existing)
			return nil
		}, nil
	})
	return &emptypb.Empty{}, err
}

// Read returns a resource as it is now, or no id when there is none.
func (p *provider) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	k, err := p.kind(req.GetUrn())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.ReadResponse{}
	err = p.perform(ctx, p.entry(Read, req.GetUrn(), req.GetId(), false), func(entry *Entry) (machineWork, error) {
		c := p.change(entry)
		existing := c.find(entry.Type, entry.ID)
		if existing == nil {
			return nil, nil
		}
		drifted := existing.settle()
		c.in = toFields(existing.inputs)
		c.out = k.carried(c.in, toFields(existing.outputs))
		if k.refresh != nil {
			k.refresh(c)
			existing.outputs = k.outputs(existing.inputs, c.out)
		}
		response.Id = existing.id
		if response.Properties, err = marshal(existing.outputs); err != nil {
			return nil, err
		}
		response.Inputs, err = p.readInputs(req, existing, drifted)
		return nil, err
	})
	return response, err
}

// readInputs are the engine's own inputs where it has some: the stand-in's clouds drift only by a failed update.
func (p *provider) readInputs(req *pulumirpc.ReadRequest, existing *object, drifted bool) (*structpb.Struct, error) {
	if !drifted && req.GetInputs() != nil && len(req.GetInputs().GetFields()) > 0 {
		return req.GetInputs(), nil
	}
	return marshal(existing.inputs)
}

// Invoke answers a function.
func (p *provider) Invoke(ctx context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	answer, ok := p.cloud.invokes[req.GetTok()]
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "the stand-in for %s does not know the function %s",
			p.cloud.pkg, req.GetTok())
	}
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.InvokeResponse{}
	err = p.perform(ctx, Entry{Op: Invoke, Type: req.GetTok()}, func(entry *Entry) (machineWork, error) {
		c := p.change(entry)
		c.in = toFields(args)
		answered, err := answer(c)
		if err != nil {
			return nil, err
		}
		response.Return, err = marshal(toProperties(answered))
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

func (p *provider) kind(urn string) (*kind, error) {
	token := string(resource.URN(urn).Type())
	k, ok := p.cloud.kinds[token]
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "the stand-in for %s does not know the resource type %s",
			p.cloud.pkg, token)
	}
	return k, nil
}

func (p *provider) entry(op Op, urn, id string, preview bool) Entry {
	parsed := resource.URN(urn)
	return Entry{Op: op, Type: string(parsed.Type()), Name: parsed.Name(), URN: urn, ID: id, Preview: preview}
}

// change prepares an operation. The caller holds the lock.
func (p *provider) change(entry *Entry) *change {
	return &change{world: &p.clouds.world, p: p, entry: entry, id: entry.ID}
}

// machineWork is what an operation has left to do with machines, which takes its time. Nil: nothing.
type machineWork func(context.Context) error

// perform runs an operation under the lock, with its journal entry, delay and fault, and then its work without the lock.
func (p *provider) perform(ctx context.Context, entry Entry, operate func(*Entry) (machineWork, error)) error {
	open := p.clouds.begin(entry)
	err := p.operate(ctx, open, operate)
	p.clouds.end(open, err)
	return err
}

func (p *provider) operate(ctx context.Context, entry *Entry, operate func(*Entry) (machineWork, error)) error {
	fault := p.clouds.takeFault(entry)
	if err := p.clouds.linger(ctx, entry); err != nil {
		return err
	}
	if fault != nil && fault.when == beforehand {
		return fault.err
	}
	p.clouds.mu.Lock()
	work, err := operate(entry)
	p.clouds.mu.Unlock()
	if err == nil && work != nil {
		err = p.clouds.finish(ctx, work)
	}
	switch {
	case err != nil || fault == nil:
		return err
	case fault.when == halfway:
		return &partialError{err: fault.err}
	default:
		return fault.err
	}
}

// explain turns the failure of a resource that exists into the engine's form of it: the id, what is known, and why. What
// the cloud would have decided is not known, as after a wait that timed out.
func (p *provider) explain(err error, existing *object, inputs resource.PropertyMap) error {
	var partial *partialError
	if !errors.As(err, &partial) || existing == nil {
		return err
	}
	known, marshalErr := marshal(withoutInternals(inputs))
	if marshalErr != nil {
		return errors.Join(err, marshalErr)
	}
	given, marshalErr := marshal(inputs)
	if marshalErr != nil {
		return errors.Join(err, marshalErr)
	}
	detailed, marshalErr := status.New(codes.Unknown, err.Error()).WithDetails(&pulumirpc.ErrorResourceInitFailed{
		Id: existing.id, Properties: known, Inputs: given, Reasons: []string{partial.Error()},
	})
	if marshalErr != nil {
		return errors.Join(err, marshalErr)
	}
	return detailed.Err()
}
