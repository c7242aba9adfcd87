package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// upstream is what this program uses of the other stack.
type upstream struct {
	// ClusterName is the cluster's name and identifies it to the Kubernetes provider.
	ClusterName pulumi.StringOutput
	// Kubeconfig gives access to the cluster. Secret.
	Kubeconfig pulumi.StringOutput
	// Namespace is the namespace of IRIS.
	Namespace pulumi.StringOutput
	// Host is the name of IRIS inside the cluster.
	Host pulumi.StringOutput
	// Port is the port of the superserver at Host.
	Port pulumi.IntOutput
}

// outputs are the other stack's outputs that this program reads, each under its own name.
type outputs struct {
	clusterName, kubeconfig, namespace, serviceName, irisHost string
	superserverPort                                           int
}

// readUpstream reads a stack's outputs. What is wrong with them shows in the preview already, all at once: the SDK's own
// GetStringOutput takes a missing output for one that is not known yet, and fails in the middle of the update.
func readUpstream(ctx *pulumi.Context, stack string) (*upstream, error) {
	reference, err := pulumi.NewStackReference(ctx, stack, nil)
	if err != nil {
		return nil, fmt.Errorf("read stack %s: %w", stack, err)
	}
	text := func(choose func(outputs) string) pulumi.StringOutput {
		output, _ := reference.Outputs.ApplyT(func(values map[string]any) (string, error) {
			o, err := decode(stack, values)
			return choose(o), err
		}).(pulumi.StringOutput)
		return output
	}
	// One secret makes all of the outputs secret. These are none; the kubeconfig stays what it is.
	public := func(choose func(outputs) string) pulumi.StringOutput {
		output, _ := pulumi.Unsecret(text(choose)).(pulumi.StringOutput)
		return output
	}
	port, _ := public(func(o outputs) string { return strconv.Itoa(o.superserverPort) }).ApplyT(strconv.Atoi).(pulumi.IntOutput)
	kubeconfig, _ := pulumi.ToSecret(text(func(o outputs) string { return o.kubeconfig })).(pulumi.StringOutput)
	return &upstream{
		ClusterName: public(func(o outputs) string { return o.clusterName }),
		Kubeconfig:  kubeconfig,
		Namespace:   public(func(o outputs) string { return o.namespace }),
		Host:        public(func(o outputs) string { return o.serviceName + "." + o.namespace + ".svc" }),
		Port:        port,
	}, nil
}

// decode checks the outputs of a stack. Its errors name the stack and never show a value: one is a secret.
func decode(stack string, values map[string]any) (outputs, error) {
	if len(values) == 0 {
		return outputs{}, fmt.Errorf("stack %s has no outputs; bring it up first: pulumi up", stack)
	}
	var found []error
	text := func(name string) string {
		value, ok := values[name].(string)
		if !ok || value == "" {
			found = append(found, fmt.Errorf("stack %s: output %s is %s, want a text", stack, name, describe(values[name])))
		}
		return value
	}
	o := outputs{
		clusterName: text("clusterName"), kubeconfig: text("kubeconfig"), namespace: text("namespace"),
		serviceName: text("serviceName"), irisHost: text("irisHost"),
	}
	port, ok := values["superserverPort"].(float64)
	switch {
	case !ok || port != math.Trunc(port):
		found = append(found, fmt.Errorf("stack %s: output superserverPort is %s, want a whole number", stack,
			describe(values["superserverPort"])))
	case port == 0:
		found = append(found, fmt.Errorf("stack %s does not offer the superserver; there, run: "+
			"pulumi config set --path ha-iris:iris.service.superserver true", stack))
	case o.irisHost == nodeAddress:
		found = append(found, fmt.Errorf("stack %s offers ports on its nodes, which differ from the port inside the cluster; "+
			"there, set ha-iris:iris.service.type to ClusterIP or LoadBalancer", stack))
	}
	o.superserverPort = int(port)
	return o, errors.Join(found...)
}

// nodeAddress is what ha-iris gives for a host when any node's address will do.
const nodeAddress = "NODE_ADDRESS"

func describe(value any) string {
	switch value {
	case nil:
		return "missing"
	case "":
		return "empty"
	default:
		return fmt.Sprintf("of type %T", value)
	}
}
