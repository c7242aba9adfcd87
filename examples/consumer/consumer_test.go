package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

const (
	stackName  = "organization/ha-iris/dev"
	kubeconfig = "apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: unit-test-token}}]\n"
)

// engine answers as Pulumi's engine and the Kubernetes provider would and records what the program registers.
type engine struct {
	upstream resource.PropertyMap

	mu         sync.Mutex
	registered []pulumi.MockResourceArgs
}

func (e *engine) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.registered = append(e.registered, args)
	if args.TypeToken == "pulumi:pulumi:StackReference" {
		return args.ID, resource.PropertyMap{
			"name": resource.NewProperty(args.ID), "outputs": resource.NewProperty(e.upstream),
		}, nil
	}
	return args.Name + "-id", args.Inputs, nil
}

func (e *engine) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("unexpected provider function %s", args.Token)
}

// one returns the inputs of the only resource of a type.
func (e *engine) one(t *testing.T, kind string) resource.PropertyMap {
	t.Helper()
	var found []resource.PropertyMap
	for _, args := range e.registered {
		if args.TypeToken == kind {
			found = append(found, args.Inputs)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(found), kind)
	}
	return found[0]
}

// stackOutputs are what a stack of ha-iris exports.
func stackOutputs() resource.PropertyMap {
	return resource.PropertyMap{
		"clusterName": resource.NewProperty("ha-iris-dev"), "namespace": resource.NewProperty("iris"),
		"serviceName": resource.NewProperty("iris-svc"), "irisHost": resource.NewProperty("203.0.113.7"),
		"superserverPort": resource.NewProperty(1972.0),
		"kubeconfig":      resource.MakeSecret(resource.NewProperty(kubeconfig)),
	}
}

func start(upstream resource.PropertyMap, preview bool, settings map[string]string) (*engine, error) {
	e := &engine{upstream: upstream}
	err := pulumi.RunErr(run, pulumi.WithMocks("iris-consumer", "test", e), func(info *pulumi.RunInfo) {
		info.DryRun = preview
		info.Config = settings
	})
	return e, err
}

func settings() map[string]string {
	return map[string]string{"iris-consumer:irisStack": stackName, "iris-consumer:namespace": "shop"}
}

// started runs the program on a stack as it should be.
func started(t *testing.T) *engine {
	t.Helper()
	e, err := start(stackOutputs(), false, settings())
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return e
}

func TestRun_UsesTheAddressInsideTheCluster(t *testing.T) {
	t.Parallel()
	e := started(t)
	container := deployment(t, e).Spec.Template.Spec.Containers[0]
	environment := map[string]string{}
	for _, variable := range container.Env {
		environment[variable.Name] = variable.Value
	}
	want := map[string]string{"IRIS_HOST": "iris-svc.iris.svc", "IRIS_PORT": "1972"}
	if !maps.Equal(environment, want) {
		t.Errorf("the container's environment is %v, want %v", environment, want)
	}
	if probe := container.ReadinessProbe.Exec.Command; !slices.Equal(probe, []string{"nc", "-z", "-w", "3", "iris-svc.iris.svc", "1972"}) {
		t.Errorf("the readiness probe is %q", probe)
	}
	policy := fmt.Sprint(e.one(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy")["spec"].Mappable())
	for _, part := range []string{"kubernetes.io/metadata.name:iris", "port:1972", "Ingress"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the NetworkPolicy lacks %s: %s", part, policy)
		}
	}
}

func TestRun_CreatesTheNamespaceThatTheOtherStackAdmits(t *testing.T) {
	t.Parallel()
	metadata := object(started(t).one(t, "kubernetes:core/v1:Namespace")["metadata"])
	if metadata["name"] != "shop" {
		t.Errorf("the namespace is %v, want shop", metadata["name"])
	}
}

func TestRun_KeepsTheKubeconfigSecretAndNothingElse(t *testing.T) {
	t.Parallel()
	e := started(t)
	provider := e.one(t, "pulumi:providers:kubernetes")
	if !provider["kubeconfig"].IsSecret() {
		t.Error("the provider's kubeconfig is not secret")
	}
	if provider["clusterIdentifier"].Mappable() != "ha-iris-dev" {
		t.Errorf("clusterIdentifier is %v, want the cluster's name in clear", provider["clusterIdentifier"])
	}
	for _, args := range e.registered {
		if args.TypeToken != "pulumi:providers:kubernetes" && (args.Inputs.ContainsSecrets() || leaks(args.Inputs)) {
			t.Errorf("%s %s has something secret: %v", args.TypeToken, args.Name, args.Inputs)
		}
	}
}

func leaks(inputs resource.PropertyMap) bool {
	return strings.Contains(fmt.Sprint(inputs), "unit-test-token")
}

func TestRun_PassesPodSecurityRestricted(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatalf("build evaluator: %v", err)
	}
	template := deployment(t, started(t)).Spec.Template
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	if image := template.Spec.Containers[0].Image; !regexp.MustCompile(`@sha256:[0-9a-f]{64}$`).MatchString(image) {
		t.Errorf("image %s is not pinned by digest", image)
	}
}

func TestRun_TakesAnImageOfYourOwn(t *testing.T) {
	t.Parallel()
	own := settings()
	own["iris-consumer:image"] = "registry.example.com/busybox:1"
	e, err := start(stackOutputs(), false, own)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	if image := deployment(t, e).Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/busybox:1" {
		t.Errorf("the image is %s", image)
	}
}

func TestRun_NamesAProviderForEveryObject(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, args := range started(t).registered {
		if strings.HasPrefix(args.TypeToken, "kubernetes:") {
			seen++
			if !strings.Contains(args.Provider, "::iris-cluster::") {
				t.Errorf("%s %s has provider %q", args.TypeToken, args.Name, args.Provider)
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d objects, want 3", seen)
	}
}

func TestRun_RefusesAStackThatItCannotUse(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change resource.PropertyMap
		want   []string
	}{
		"outputs missing": {
			resource.PropertyMap{"namespace": resource.NewNullProperty(), "kubeconfig": resource.NewNullProperty()},
			[]string{"output namespace is missing", "output kubeconfig is missing"},
		},
		"an empty text": {resource.PropertyMap{"clusterName": resource.NewProperty("")}, []string{"output clusterName is empty"}},
		"other types": {
			resource.PropertyMap{"superserverPort": resource.NewProperty("1972"), "serviceName": resource.NewProperty(true)},
			[]string{"output superserverPort is of type string, want a whole number", "output serviceName is of type bool, want a text"},
		},
		"no superserver": {resource.PropertyMap{"superserverPort": resource.NewProperty(0.0)}, []string{"iris.service.superserver true"}},
		"node ports":     {resource.PropertyMap{"irisHost": resource.NewProperty("NODE_ADDRESS")}, []string{"ClusterIP or LoadBalancer"}},
	}
	for name, c := range cases {
		for _, preview := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/preview=%v", name, preview), func(t *testing.T) {
				t.Parallel()
				upstream := stackOutputs()
				for key, value := range c.change {
					upstream[key] = value
					if value.IsNull() {
						delete(upstream, key)
					}
				}
				_, err := start(upstream, preview, settings())
				if err == nil {
					t.Fatal("accepted")
				}
				for _, want := range append(c.want, stackName) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got %v, want %q in it", err, want)
					}
				}
				if strings.Contains(err.Error(), "unit-test-token") {
					t.Error("the error shows the kubeconfig")
				}
			})
		}
	}
}

func TestRun_SaysThatAStackIsNotUpYet(t *testing.T) {
	t.Parallel()
	_, err := start(resource.PropertyMap{}, true, settings())
	if err == nil || !strings.Contains(err.Error(), "bring it up first") {
		t.Errorf("got %v", err)
	}
}

func TestRun_AsksForItsSettings(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"irisStack", "namespace"} {
		incomplete := settings()
		delete(incomplete, "iris-consumer:"+key)
		_, err := start(stackOutputs(), true, incomplete)
		if err == nil || !strings.Contains(err.Error(), "pulumi config set "+key) {
			t.Errorf("without %s: got %v", key, err)
		}
	}
}

// The contract between the two stacks, from its two sides: what this program reads, ha-iris exports.
func TestUpstream_ReadsOutputsThatExist(t *testing.T) {
	t.Parallel()
	exported := exports(t)
	read := reflect.TypeFor[outputs]()
	for i := range read.NumField() {
		field := read.Field(i)
		want := map[reflect.Kind]string{reflect.String: "StringOutput", reflect.Int: "IntOutput"}[field.Type.Kind()]
		if exported[field.Name] != want {
			t.Errorf("%s: ha-iris exports %q, this program reads %s", field.Name, exported[field.Name], want)
		}
	}
}

// exports returns the outputs that ha-iris declares, with their types, from its source: a main package cannot be imported.
func exports(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "internal", "program", "outputs.go"), nil, 0)
	if err != nil {
		t.Fatalf("parse the contract: %v", err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		kind, ok := field.Type.(*ast.SelectorExpr)
		if name, tagged := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Lookup("pulumi"); ok && tagged {
			found[name] = kind.Sel.Name
		}
		return true
	})
	if len(found) < 5 {
		t.Fatalf("only the outputs %v found", slices.Sorted(maps.Keys(found)))
	}
	return found
}

func object(value resource.PropertyValue) map[string]any {
	mapped, _ := value.Mappable().(map[string]any)
	return mapped
}

func deployment(t *testing.T, e *engine) appsv1.Deployment {
	t.Helper()
	encoded, err := json.Marshal(e.one(t, "kubernetes:apps/v1:Deployment").Mappable())
	if err != nil {
		t.Fatalf("encode Deployment: %v", err)
	}
	var d appsv1.Deployment
	if err := json.Unmarshal(encoded, &d); err != nil {
		t.Fatalf("decode Deployment: %v", err)
	}
	return d
}
