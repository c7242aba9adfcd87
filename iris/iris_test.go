package iris

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"

	"ha-iris/internal/secret"
	"ha-iris/internal/testkit"
)

const testPassword = "Correct-Horse-7"

// community is a valid configuration of the free edition.
func community(change ...func(*Config)) Config {
	cfg := DefaultConfig()
	cfg.Password = secret.New(testPassword)
	for _, apply := range change {
		apply(&cfg)
	}
	return cfg
}

const (
	licensedImage = "containers.intersystems.com/intersystems/iris:2026.1.0.234.1"
	gatewayImage  = "containers.intersystems.com/intersystems/webgateway-lockeddown:2026.1.0.234.1"
	testKey       = "[ConfigFile]\nLicenseCapacity=TEST-KEY-CONTENT\n"
	testToken     = "registry-token-1234"
)

// licensed is a valid configuration of the licensed edition with everything that it brings.
func licensed(change ...func(*Config)) Config {
	cfg := community()
	cfg.Edition = Licensed
	cfg.Image = licensedImage
	cfg.WebGateway.Image = gatewayImage
	cfg.Registry.Username = "someone@example.com"
	cfg.RegistryPassword = secret.New(testToken)
	cfg.LicenseKey = secret.New(testKey)
	for _, apply := range change {
		apply(&cfg)
	}
	return cfg
}

// run is one run of a program that creates nothing but IRIS.
type run struct {
	*testkit.Recorder
	iris *IRIS
	err  error

	mu       sync.Mutex
	resolved map[string]any
}

type scenario struct {
	args    Args
	preview bool
	outputs func(pulumi.MockResourceArgs) resource.PropertyMap
}

func (s scenario) run(t *testing.T) *run {
	t.Helper()
	result := &run{Recorder: &testkit.Recorder{Outputs: s.outputs}, resolved: map[string]any{}}
	result.err = result.Run(func(ctx *pulumi.Context) error {
		provider, err := newProvider(ctx)
		if err != nil {
			return err
		}
		args := s.args
		args.Provider = provider
		if args.StorageClass == nil {
			args.StorageClass = pulumi.String("longhorn-iris")
		}
		result.iris, err = New(ctx, "iris", &args)
		if err != nil {
			return err
		}
		result.resolve(ctx, "portalUrl", result.iris.PortalURL)
		result.resolve(ctx, "host", result.iris.Host)
		result.resolve(ctx, "superserverPort", result.iris.SuperserverPort)
		result.resolve(ctx, "namespace", result.iris.Namespace)
		result.resolve(ctx, "serviceName", result.iris.ServiceName)
		return nil
	}, testkit.Options{Preview: s.preview})
	return result
}

func newProvider(ctx *pulumi.Context) (pulumi.ProviderResource, error) {
	return kubernetes.NewProvider(ctx, "cluster", &kubernetes.ProviderArgs{})
}

// resolve keeps an output's value. An output that is not known is never kept. The export makes the run wait for it.
func (r *run) resolve(ctx *pulumi.Context, name string, output pulumi.Output) {
	ctx.Export(name, output.ApplyT(func(value any) any {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.resolved[name] = value
		return value
	}))
}

func mustRun(t *testing.T, cfg Config) *run {
	t.Helper()
	result := scenario{args: Args{Config: cfg}}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	return result
}

func editions() map[string]Config {
	return map[string]Config{
		"community": community(),
		"community-tls": community(func(c *Config) {
			c.TLSSecret, c.WebGateway.Image = "portal-tls", gatewayImage
		}),
		"licensed": licensed(func(c *Config) {
			c.Architecture = "arm64"
			c.Metrics, c.MonitoringNamespace = ServiceMonitor, "monitoring"
			c.Service = Service{Type: LoadBalancer, SourceRanges: []string{"203.0.113.0/24"}, Superserver: true}
		}),
		"guarded":   community(guardedBy(agentImage)),
		"backed-up": community(backedUp(agentImage), func(c *Config) { c.Failover.Mode = FailoverLonghorn }),
		"watched":   community(verified(agentImage), watched),
		"verified":  community(verified(agentImage), func(c *Config) { c.Failover.Mode = FailoverLonghorn }),
	}
}

// watched asks for all that Prometheus and Grafana look for, on storage that is backed up every 15 minutes.
func watched(c *Config) {
	c.Metrics, c.MonitoringNamespace, c.Alerts, c.Dashboard = ServiceMonitor, "monitoring", true, true
	c.MonitoringLabels = map[string]string{"release": "kube-prometheus-stack"}
	c.BackupInterval = 15 * time.Minute
}

const agentImage = "registry.example/ha-iris/agent:0.1.0@sha256:1111111111111111111111111111111111111111111111111111111111111111"

// guardedBy asks for the guard, on storage that the stack installs.
func guardedBy(image string) func(*Config) {
	return func(c *Config) { c.Failover.Image, c.LonghornNamespace = image, "longhorn-system" }
}

func TestNew_KeepsTheInvariantsAndPreviewsWhatItDoes(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var registered [2][]string
			for mode, preview := range []bool{true, false} {
				result := scenario{args: Args{Config: cfg}, preview: preview}.run(t)
				if result.err != nil {
					t.Fatal(result.err)
				}
				if err := result.CheckInvariants(); err != nil {
					t.Error(err)
				}
				for _, registration := range result.Registrations() {
					registered[mode] = append(registered[mode], registration.URN)
				}
			}
			if !slices.Equal(registered[0], registered[1]) {
				t.Errorf("a preview registers\n%q\nand an up\n%q", registered[0], registered[1])
			}
		})
	}
}

func TestNew_RegistersNothingOfAnInvalidConfiguration(t *testing.T) {
	t.Parallel()
	result := scenario{args: Args{Config: Config{}}}.run(t)
	if result.err == nil {
		t.Fatal("an empty configuration is taken")
	}
	if got := len(result.Find(componentType)); got != 0 {
		t.Errorf("%d components were registered", got)
	}
}

// TestNew_LeavesOutputsUnknownInTheFirstPreview: an address that is not known yet must not look like one.
func TestNew_LeavesOutputsUnknownInTheFirstPreview(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) {
		c.Service.Type, c.Service.SourceRanges = LoadBalancer, []string{"203.0.113.0/24"}
	})
	result := scenario{args: Args{Config: cfg}, preview: true}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	if url, known := result.resolved["portalUrl"]; known {
		t.Errorf("portalUrl is %v", url)
	}
}

// TestNew_RollsThePodForWhatIsReadAtItsStart: what IRIS reads only at its start has to restart it, and nothing else does.
func TestNew_RollsThePodForWhatIsReadAtItsStart(t *testing.T) {
	t.Parallel()
	template := func(cfg Config) string {
		for _, object := range manifests(t, mustRun(t, cfg)) {
			if object.kind == "Deployment" {
				spec, _ := object.object["spec"].(map[string]any)
				return fmt.Sprint(spec["template"])
			}
		}
		t.Fatal("no Deployment")
		return ""
	}
	before := template(community())
	for name, test := range map[string]struct {
		change func(*Config)
		rolls  bool
	}{
		"nothing":     {func(*Config) {}, false},
		"password":    {func(c *Config) { c.Password = secret.New(testPassword + "x") }, true},
		"CPF setting": {func(c *Config) { c.CPF = map[string]map[string]string{"SQL": {"TimePrecision": "6"}} }, true},
		"cache":       {func(c *Config) { c.GlobalsMiB = 500 }, true},
		"action":      {func(c *Config) { c.Actions = []string{"CreateNamespace:Name=APP,Globals=APP"} }, true},
		"image":       {func(c *Config) { c.Image = "registry.example.com/iris-community:2026.1.0.234.1" }, true},
		"volume size": {func(c *Config) { c.Size = "40Gi" }, false},
		"service":     {func(c *Config) { c.Service.ClientNamespaces = []string{"app"} }, false},
		"metrics":     {func(c *Config) { c.Metrics, c.MonitoringNamespace = Annotations, "monitoring" }, false},
		"protection":  {func(c *Config) { c.ProtectData = false }, false},
		"pre-pull":    {func(c *Config) { c.PrePullImage = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rolls := template(community(test.change)) != before; rolls != test.rolls {
				t.Errorf("rolls the pod: %v, want %v", rolls, test.rolls)
			}
		})
	}
}

func TestNew_ChoosesNodesByArchitecture(t *testing.T) {
	t.Parallel()
	objects := manifests(t, mustRun(t, community(func(c *Config) { c.Architecture = "arm64" })))
	for kind, selector := range map[string]map[string]string{
		"Deployment": decode[appsv1.Deployment](t, objects, "Deployment", deploymentName).Spec.Template.Spec.NodeSelector,
		"DaemonSet":  decode[appsv1.DaemonSet](t, objects, "DaemonSet", prePullName).Spec.Template.Spec.NodeSelector,
	} {
		if selector["kubernetes.io/arch"] != "arm64" || len(selector) != 1 {
			t.Errorf("%s: %v", kind, selector)
		}
	}
}
