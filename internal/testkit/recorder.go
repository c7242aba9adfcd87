// Package testkit runs Pulumi programs against a recording mock engine and checks what every program must keep.
package testkit

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	organization = "organization" // What a self-managed backend calls it.
	project      = "ha-iris"
	stack        = "test"

	stashType = "pulumi:index:Stash" // Where the program keeps a random number.
)

// Registration is one resource as the program registered it.
type Registration struct {
	pulumi.MockResourceArgs
	// URN is the resource's own URN, built from its parent's as the engine does.
	URN string
}

// IsProvider reports whether the resource is a provider.
func (r Registration) IsProvider() bool { return strings.HasPrefix(r.TypeToken, "pulumi:providers:") }

// Parent returns the parent's URN; empty for the root stack.
func (r Registration) Parent() string { return r.RegisterRPC.GetParent() }

// Recorder answers as an engine and its providers would and keeps every registration. Safe for concurrent use, because
// programs register concurrently.
type Recorder struct {
	// Invoke answers provider functions. An unexpected one is an error: a mock that answers everything hides mistakes.
	Invoke func(pulumi.MockCallArgs) (resource.PropertyMap, error)
	// Outputs adds what a provider computes to a resource's inputs. nil leaves the inputs as they are.
	Outputs func(pulumi.MockResourceArgs) resource.PropertyMap

	mu            sync.Mutex
	preview       bool
	registrations []Registration
	reads         []*pulumirpc.ReadResourceRequest
	calls         []pulumi.MockCallArgs
	warnings      []string
	outputs       map[string]resource.PropertyMap // By the URN of the component.
}

// record keeps a registration and returns the id and the outputs that the resource would get.
func (r *Recorder) record(args pulumi.MockResourceArgs) (string, resource.PropertyMap) {
	r.mu.Lock()
	r.registrations = append(r.registrations, Registration{MockResourceArgs: args, URN: urn(args)})
	preview := r.preview
	r.mu.Unlock()
	outputs := args.Inputs.Copy()
	if args.TypeToken == stashType {
		outputs["output"] = outputs["input"] // Of the engine itself, and known in previews too.
	}
	if !args.Custom || preview {
		return "", outputs // What a provider computes is unknown until the resource exists.
	}
	if r.Outputs != nil {
		for key, value := range r.Outputs(args) {
			outputs[key] = value
		}
	}
	return args.Name + "-id", outputs
}

func (r *Recorder) recordRead(read *pulumirpc.ReadResourceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, read)
}

func (r *Recorder) recordCall(call pulumi.MockCallArgs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *Recorder) recordWarning(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, text)
}

// Warnings returns what the program warned of.
func (r *Recorder) Warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.warnings)
}

func (r *Recorder) recordOutputs(urn string, outputs resource.PropertyMap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outputs == nil {
		r.outputs = map[string]resource.PropertyMap{}
	}
	r.outputs[urn] = outputs
}

func (r *Recorder) isPreview() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.preview
}

// Registrations returns what was registered, sorted by URN: the order of registration is not deterministic.
func (r *Recorder) Registrations() []Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	sorted := append([]Registration(nil), r.registrations...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].URN < sorted[j].URN })
	return sorted
}

// Find returns the registrations of a type.
func (r *Recorder) Find(typeToken string) []Registration {
	var found []Registration
	for _, registration := range r.Registrations() {
		if registration.TypeToken == typeToken {
			found = append(found, registration)
		}
	}
	return found
}

// One returns the only registration of a type with the given name and fails the test when there is none, or another.
func (r *Recorder) One(t *testing.T, typeToken, name string) Registration {
	t.Helper()
	found := r.Find(typeToken)
	found = slices.DeleteFunc(found, func(registration Registration) bool { return registration.Name != name })
	if len(found) != 1 {
		t.Fatalf("%d of %s named %q were registered, want one", len(found), typeToken, name)
	}
	return found[0]
}

// Options sets up a run.
type Options struct {
	// Preview runs the program as `pulumi preview` does: computed values are unknown.
	Preview bool
	// Config is the stack's configuration, with full keys such as "ha-iris:cluster".
	Config map[string]string
	// Secrets are the keys of Config that are stored encrypted.
	Secrets []string
}

// Run runs a program against the recorder and returns the program's error. Runs of one recorder add up.
func (r *Recorder) Run(program pulumi.RunFunc, options Options) error {
	engine, err := startEngine(r)
	if err != nil {
		return fmt.Errorf("start the stand-in engine: %w", err)
	}
	defer engine.stop()
	r.mu.Lock()
	r.preview = options.Preview
	r.mu.Unlock()
	return pulumi.RunErr(program, func(info *pulumi.RunInfo) {
		info.Organization, info.Project, info.Stack = organization, project, stack
		info.MonitorAddr, info.EngineAddr = engine.address, engine.address
		info.DryRun = options.Preview
		info.Config = options.Config
		info.ConfigSecretKeys = options.Secrets
	})
}

// urn builds a resource's URN from its parent's, as the engine does.
func urn(args pulumi.MockResourceArgs) string {
	parent := resource.URN(args.RegisterRPC.GetParent())
	if parent != "" && parent.QualifiedType() == resource.RootStackType {
		parent = "" // The stack is no part of its children's URNs.
	}
	if parent == "" {
		return string(resource.NewURN(stack, project, "", tokens.Type(args.TypeToken), args.Name))
	}
	return string(resource.NewURN(stack, project, parent.QualifiedType(), tokens.Type(args.TypeToken), args.Name))
}

// CheckInvariants returns every violation of the rules that hold for any target.
func (r *Recorder) CheckInvariants() error {
	var violations []error
	seen := map[string]bool{}
	for _, registration := range r.Registrations() {
		if registration.TypeToken == string(resource.RootStackType) {
			continue
		}
		if seen[registration.URN] {
			violations = append(violations, fmt.Errorf("%s is registered twice", registration.URN))
		}
		seen[registration.URN] = true
		violations = append(violations, checkRegistration(registration)...)
	}
	if len(seen) == 0 {
		violations = append(violations, errors.New("the program registered nothing"))
	}
	return errors.Join(violations...)
}

func checkRegistration(registration Registration) []error {
	var violations []error
	if registration.Parent() == "" {
		violations = append(violations, fmt.Errorf("%s has no parent", registration.URN))
	}
	builtin := strings.HasPrefix(registration.TypeToken, "pulumi:index:") // Of the engine itself.
	if registration.Custom && !registration.IsProvider() && !builtin && registration.Provider == "" {
		violations = append(violations, fmt.Errorf("%s has no explicit provider", registration.URN))
	}
	if registration.Custom && !registration.IsProvider() && !builtin &&
		resource.URN(registration.Parent()).QualifiedType() == resource.RootStackType {
		violations = append(violations, fmt.Errorf("%s hangs on the stack, not on a component", registration.URN))
	}
	return violations
}
