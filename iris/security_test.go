package iris

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"ha-iris/internal/testkit"
)

func TestPackage_NamesNoCloud(t *testing.T) {
	t.Parallel()
	testkit.CheckNamesNoCloud(t, ".")
}

// TestSecrets_StandOnlyInSecrets looks at every value of every object, in preview and up, for each secret in clear, in
// base64, and for the hash, whose guessing is slow but not impossible.
func TestSecrets_StandOnlyInSecrets(t *testing.T) {
	t.Parallel()
	hash := mustCredentials(t, testPassword, "organization/ha-iris/test/iris").merge.Reveal()
	forbidden := []string{strings.TrimPrefix(hash, "PasswordHash=")[:128]}
	for _, text := range []string{testPassword, testKey, testToken} {
		forbidden = append(forbidden, text, base64.StdEncoding.EncodeToString([]byte(text)))
	}
	for _, preview := range []bool{true, false} {
		result := scenario{args: Args{Config: licensed()}, preview: preview}.run(t)
		if result.err != nil {
			t.Fatal(result.err)
		}
		hidden := 0
		for _, registration := range result.Registrations() {
			isSecret := registration.TypeToken == "kubernetes:core/v1:Secret"
			for path, leaf := range testkit.Leaves(registration.Inputs) {
				switch {
				case !containsAny(leaf.Text, forbidden):
				case leaf.Secret && isSecret:
					hidden++
				default:
					t.Errorf("%s%s shows a secret", registration.URN, path)
				}
			}
		}
		// Password, its hashes, key and login: the search finds something where there is something.
		if hidden != 4 {
			t.Errorf("found %d secrets where they belong, want 4", hidden)
		}
		if text := fmt.Sprint(result.resolved); containsAny(text, forbidden) {
			t.Errorf("the outputs show a secret: %s", text)
		}
	}
}

func containsAny(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

func TestConfig_ShowsNoSecretWhenPrintedOrRefused(t *testing.T) {
	t.Parallel()
	cfg := licensed(func(c *Config) { c.Edition, c.Size = Community, "x" })
	err := cfg.Validate()
	if err == nil {
		t.Fatal("the configuration is taken")
	}
	for _, text := range []string{testPassword, testKey, testToken} {
		if strings.Contains(err.Error(), text) {
			t.Errorf("the error shows %q", text)
		}
	}
}

func TestData_IsProtectedAndTheRestIsNot(t *testing.T) {
	t.Parallel()
	for name, protect := range map[string]bool{"protected": true, "given up": false} {
		result := mustRun(t, community(func(c *Config) { c.ProtectData = protect }))
		for _, registration := range result.Registrations() {
			data := registration.TypeToken == "kubernetes:core/v1:Namespace" ||
				registration.TypeToken == "kubernetes:core/v1:PersistentVolumeClaim"
			if got := registration.RegisterRPC.GetProtect(); got != (data && protect) {
				t.Errorf("%s: protect of %s is %v", name, registration.URN, got)
			}
			if registration.RegisterRPC.GetRetainOnDelete() {
				t.Errorf("%s: %s would be forgotten instead of refused", name, registration.URN)
			}
		}
	}
}

// TestData_KeepsItsIdentity: another name, type or parent makes Pulumi create a new, empty volume and delete this one. A
// change here needs pulumi.Aliases.
func TestData_KeepsItsIdentity(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community())
	for typeToken, want := range map[string]string{
		"kubernetes:core/v1:PersistentVolumeClaim": "urn:pulumi:test::ha-iris::ha-iris:iris:IRIS$kubernetes:core/v1:PersistentVolumeClaim::iris-pvc",
		"kubernetes:core/v1:Namespace":             "urn:pulumi:test::ha-iris::ha-iris:iris:IRIS$kubernetes:core/v1:Namespace::namespace",
	} {
		if got := result.Find(typeToken); len(got) != 1 || got[0].URN != want {
			t.Errorf("got %v, want %s alone", got, want)
		}
	}
}

// TestLifetime_CoversWhatDiesWithTheCluster: not the load balancer, which the cloud would keep, nor protected data.
func TestLifetime_CoversWhatDiesWithTheCluster(t *testing.T) {
	t.Parallel()
	const component, namespace, claim, service = "ha-iris:iris:IRIS", "kubernetes:core/v1:Namespace",
		"kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Service"
	balanced := func(c *Config) { c.Service = Service{Type: LoadBalancer, SourceRanges: []string{"203.0.113.0/24"}} }
	for name, test := range map[string]struct {
		change func(*Config)
		exempt []string
	}{
		"protected":     {func(*Config) {}, []string{component, namespace, claim}},
		"given up":      {func(c *Config) { c.ProtectData = false }, []string{component}},
		"load balancer": {balanced, []string{component, namespace, claim, service}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := &testkit.Recorder{}
			if err := recorder.Run(inClusterThatEnds(community(test.change)), testkit.Options{}); err != nil {
				t.Fatal(err)
			}
			var exempt []string
			for _, registration := range recorder.Registrations() {
				if strings.Contains(registration.URN, component) && registration.RegisterRPC.GetDeletedWith() == "" {
					exempt = append(exempt, registration.TypeToken)
				}
			}
			if slices.Sort(exempt); !slices.Equal(exempt, test.exempt) {
				t.Errorf("these outlive the cluster: %v, want %v", exempt, test.exempt)
			}
		})
	}
}

// inClusterThatEnds is a program whose cluster is created and deleted with the stack.
func inClusterThatEnds(cfg Config) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		cluster := &pulumi.ResourceState{}
		if err := ctx.RegisterComponentResource("test:cluster:Cluster", "the-cluster", cluster); err != nil {
			return err
		}
		provider, err := newProvider(ctx)
		if err != nil {
			return err
		}
		_, err = New(ctx, "iris", &Args{
			Config: cfg, Provider: provider, StorageClass: pulumi.String("c"), Lifetime: cluster,
		})
		return err
	}
}

// TestPod_WaitsForItsPolicies: DependsOn is invisible in the objects.
func TestPod_WaitsForItsPolicies(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community())
	deployment := result.One(t, "kubernetes:apps/v1:Deployment", deploymentName)
	objects := manifests(t, result)
	pod := decode[appsv1.Deployment](t, objects, "Deployment", deploymentName).Spec.Template.Labels
	waits := 0
	for _, object := range objects {
		if object.kind != "NetworkPolicy" || !guarded(t, object).Matches(labels.Set(pod)) {
			continue
		}
		waits++
		policy := result.One(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy", object.name)
		if !slices.Contains(deployment.RegisterRPC.GetDependencies(), policy.URN) {
			t.Errorf("the pod can run before %s", object.name)
		}
	}
	if waits != 2 {
		t.Errorf("%d policies are for the pod, want its own and %s", waits, denyAllName)
	}
}

func TestClaim_WaitsForTheStorage(t *testing.T) {
	t.Parallel()
	result := &run{Recorder: &testkit.Recorder{}}
	err := result.Run(func(ctx *pulumi.Context) error {
		provider, err := newProvider(ctx)
		if err != nil {
			return err
		}
		// Any concrete resource will do; a component without children is no dependency at all.
		driver, err := corev1.NewNamespace(ctx, "the-driver", nil, pulumi.Provider(provider))
		if err != nil {
			return err
		}
		_, err = New(ctx, "iris", &Args{
			Config: community(), Provider: provider, StorageClass: pulumi.String("c"), After: []pulumi.Resource{driver},
		})
		return err
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	claim := result.Find("kubernetes:core/v1:PersistentVolumeClaim")[0]
	if !slices.ContainsFunc(claim.RegisterRPC.GetDependencies(), func(urn string) bool {
		return strings.HasSuffix(urn, "::the-driver")
	}) {
		t.Errorf("the claim depends on %v", claim.RegisterRPC.GetDependencies())
	}
}

// TestNetworkPolicy_AdmitsTheServicesClients lists who gets in, as "source port port".
func TestNetworkPolicy_AdmitsTheServicesClients(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"nobody": {func(*Config) {}, nil},
		"load balancer": {
			func(c *Config) {
				c.Service.Type, c.Service.SourceRanges = LoadBalancer, []string{"203.0.113.0/24", "2001:db8::/32"}
			},
			[]string{"203.0.113.0/24 52773", "2001:db8::/32 52773"},
		},
		"superserver": {
			func(c *Config) {
				c.Service = Service{Type: NodePort, SourceRanges: []string{"10.0.0.0/8"}, Superserver: true}
			},
			[]string{"10.0.0.0/8 52773 1972"},
		},
		"namespaces": {
			func(c *Config) { c.Service.ClientNamespaces, c.Service.Superserver = []string{"app", "web"}, true },
			[]string{"namespace app 52773 1972", "namespace web 52773 1972"},
		},
		"monitoring reaches the portal's port only": {
			func(c *Config) {
				c.Service.Superserver, c.Metrics, c.MonitoringNamespace = true, Annotations, "monitoring"
			},
			[]string{"namespace monitoring 52773"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := manifests(t, mustRun(t, community(test.change)))
			policy := decode[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy", deploymentName)
			if got := admitted(policy); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			deny := decode[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy", denyAllName)
			if len(deny.Spec.Ingress)+len(deny.Spec.Egress) > 0 || len(deny.Spec.PolicyTypes) != 2 {
				t.Errorf("%s lets something through: %+v", denyAllName, deny.Spec)
			}
		})
	}
}

func admitted(policy networkingv1.NetworkPolicy) []string {
	var sources []string
	for _, rule := range policy.Spec.Ingress {
		ports := ""
		for _, port := range rule.Ports {
			ports += " " + port.Port.String()
		}
		if len(rule.Ports) == 0 || len(rule.From) == 0 {
			sources = append(sources, "everything")
		}
		for _, peer := range rule.From {
			if peer.IPBlock != nil {
				sources = append(sources, peer.IPBlock.CIDR+ports)
			} else {
				sources = append(sources, "namespace "+peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]+ports)
			}
		}
	}
	return sources
}

// TestContainers_SayWhyTheyFailed: what a failed container has logged is what a failed up shows.
func TestContainers_SayWhyTheyFailed(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"manifests-community.yaml", "manifests-community-tls.yaml", "manifests-licensed.yaml", "manifests-backed-up.yaml"} {
		content, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		containers, saying := strings.Count(string(content), "  image: "), strings.Count(string(content), "terminationMessagePolicy: FallbackToLogsOnError")
		if containers == 0 || containers != saying {
			t.Errorf("%s: %d of %d containers say why they failed", file, saying, containers)
		}
	}
}
