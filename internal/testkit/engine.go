package testkit

import (
	"context"
	"fmt"
	"net"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// The SDK's own mocks panic when a program registers a resource hook, and drop unknown inputs. The recorder therefore
// stands in for the engine one level lower: its two gRPC services, on a loopback address that the SDK connects to as it does
// to the engine's.

// engine plays the engine's side of a program's run.
type engine struct {
	pulumirpc.UnimplementedResourceMonitorServer
	pulumirpc.UnimplementedEngineServer

	recorder *Recorder
	server   *grpc.Server
	address  string
}

func startEngine(recorder *Recorder) (*engine, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &engine{recorder: recorder, server: grpc.NewServer(), address: listener.Addr().String()}
	pulumirpc.RegisterResourceMonitorServer(e.server, e)
	pulumirpc.RegisterEngineServer(e.server, e)
	go func() { _ = e.server.Serve(listener) }() // It returns when stop is called.
	return e, nil
}

func (e *engine) stop() { e.server.Stop() }

func keepAll() plugin.MarshalOptions {
	return plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true}
}

// SupportsFeature denies output values, which would wrap every input in its dependencies.
func (*engine) SupportsFeature(_ context.Context, in *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	return &pulumirpc.SupportsFeatureResponse{HasSupport: in.GetId() != "outputValues"}, nil
}

// RegisterResource records the resource and answers with what its provider would.
func (e *engine) RegisterResource(_ context.Context, in *pulumirpc.RegisterResourceRequest) (*pulumirpc.RegisterResourceResponse, error) {
	inputs, err := plugin.UnmarshalProperties(in.GetObject(), keepAll())
	if err != nil {
		return nil, fmt.Errorf("read inputs of %s: %w", in.GetName(), err)
	}
	args := pulumi.MockResourceArgs{
		TypeToken: in.GetType(), Name: in.GetName(), Inputs: inputs, Provider: in.GetProvider(),
		ID: in.GetImportId(), Custom: in.GetCustom(), RegisterRPC: in,
	}
	id, outputs := e.recorder.record(args)
	object, err := marshal(outputs)
	if err != nil {
		return nil, fmt.Errorf("write outputs of %s: %w", in.GetName(), err)
	}
	return &pulumirpc.RegisterResourceResponse{Urn: urn(args), Id: id, Object: object}, nil
}

// ReadResource answers for an object that the program does not own, as if it were there.
func (e *engine) ReadResource(_ context.Context, in *pulumirpc.ReadResourceRequest) (*pulumirpc.ReadResourceResponse, error) {
	e.recorder.recordRead(in)
	read := resource.PropertyMap{}
	if !e.recorder.isPreview() {
		read["metadata"] = resource.NewObjectProperty(resource.PropertyMap{"uid": resource.NewStringProperty("uid-of-" + in.GetId())})
	}
	object, err := marshal(read)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", in.GetName(), err)
	}
	args := pulumi.MockResourceArgs{TypeToken: in.GetType(), Name: in.GetName(), RegisterRPC: &pulumirpc.RegisterResourceRequest{
		Type: in.GetType(), Name: in.GetName(), Parent: in.GetParent(),
	}}
	return &pulumirpc.ReadResourceResponse{Urn: urn(args), Properties: object}, nil
}

// RegisterResourceOutputs records a component's outputs, which for the stack are those that users see.
func (e *engine) RegisterResourceOutputs(_ context.Context, in *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	outputs, err := plugin.UnmarshalProperties(in.GetOutputs(), keepAll())
	if err != nil {
		return nil, fmt.Errorf("read outputs of %s: %w", in.GetUrn(), err)
	}
	e.recorder.recordOutputs(in.GetUrn(), outputs)
	return &emptypb.Empty{}, nil
}

// RegisterResourceHook accepts a hook. It is never called: no resource has an earlier state here.
func (*engine) RegisterResourceHook(context.Context, *pulumirpc.RegisterResourceHookRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Invoke answers a provider function.
func (e *engine) Invoke(_ context.Context, in *pulumirpc.ResourceInvokeRequest) (*pulumirpc.InvokeResponse, error) {
	args, err := plugin.UnmarshalProperties(in.GetArgs(), keepAll())
	if err != nil {
		return nil, fmt.Errorf("read arguments of %s: %w", in.GetTok(), err)
	}
	call := pulumi.MockCallArgs{Token: in.GetTok(), Args: args, Provider: in.GetProvider()}
	e.recorder.recordCall(call)
	if e.recorder.Invoke == nil {
		return nil, fmt.Errorf("unexpected provider function %s", in.GetTok())
	}
	result, err := e.recorder.Invoke(call)
	if err != nil {
		return nil, err
	}
	object, err := marshal(result)
	if err != nil {
		return nil, fmt.Errorf("write result of %s: %w", in.GetTok(), err)
	}
	return &pulumirpc.InvokeResponse{Return: object}, nil
}

// SignalAndWaitForShutdown ends a run.
func (*engine) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Log keeps the program's warnings: an error also ends the run and reaches the test from there.
func (e *engine) Log(_ context.Context, in *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	if in.GetSeverity() == pulumirpc.LogSeverity_WARNING {
		e.recorder.recordWarning(in.GetMessage())
	}
	return &emptypb.Empty{}, nil
}

func marshal(properties resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(properties, keepAll())
}
