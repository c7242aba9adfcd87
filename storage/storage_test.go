package storage_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
	"ha-iris/internal/traits"
	"ha-iris/storage"
)

const releaseType = "kubernetes:helm.sh/v3:Release"

func dedicated() traits.Storage {
	return traits.Storage{
		KubeletRootDir: "/var/lib/kubelet", LabelledDisksOnly: true, DedicatedDisk: true,
	}
}

func run(t *testing.T, args storage.Args, preview bool) *testkit.Recorder {
	t.Helper()
	recorder := &testkit.Recorder{}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "cluster", nil)
		if err != nil {
			return fmt.Errorf("create provider: %w", err)
		}
		args.Provider = provider
		_, err = storage.New(ctx, "storage", &args)
		return err
	}, testkit.Options{Preview: preview})
	if err != nil {
		t.Fatalf("preview %v: %v", preview, err)
	}
	return recorder
}

func TestNew_InstallsLonghornInItsNamespaceAndThenTheClass(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated(), Protect: true}, preview)
		class := recorder.One(t, "kubernetes:storage.k8s.io/v1:StorageClass", storage.DefaultClassName)
		if got := class.Inputs["reclaimPolicy"].StringValue(); got != "Retain" {
			t.Errorf("reclaimPolicy %q: deleting the claim would delete the data", got)
		}
		if !dependsOn(recorder.One(t, releaseType, "longhorn"), "kubernetes:core/v1:Namespace") {
			t.Error("the release must wait for its namespace")
		}
		if !dependsOn(class, releaseType) {
			t.Error("the class must wait for the release that brings its driver")
		}
	}
}

func TestNew_ReplacesTheClassWhereKubernetesCannotChangeIt(t *testing.T) {
	t.Parallel()
	recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated(), Protect: true}, false)
	class := recorder.One(t, "kubernetes:storage.k8s.io/v1:StorageClass", storage.DefaultClassName).RegisterRPC
	// The API server refuses changes of these; metadata and allowVolumeExpansion it takes (storage validation.go).
	want := []string{"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}
	if got := class.GetReplaceOnChanges(); !slices.Equal(got, want) || !class.GetDeleteBeforeReplace() {
		t.Errorf("replaced on changes of %q, deleted first: %t", got, class.GetDeleteBeforeReplace())
	}
	// The release must change with the class (storage/class.go), whatever of it changes.
	registered := recorder.One(t, "kubernetes:storage.k8s.io/v1:StorageClass", storage.DefaultClassName).Inputs
	recorded := recorder.One(t, releaseType, "longhorn").Inputs["values"].ObjectValue()["haIris"].ObjectValue()["class"].ObjectValue()
	for _, field := range want {
		if !registered[resource.PropertyKey(field)].DeepEquals(recorded[resource.PropertyKey(field)]) {
			t.Errorf("%s: the class has %v, the release's values %v", field, registered[resource.PropertyKey(field)], recorded[resource.PropertyKey(field)])
		}
	}
}

func TestNew_MarksTheReleaseAsThisStacks(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Values = map[string]any{"haIris": map[string]any{"stack": "somebody"}}
	recorder := run(t, storage.Args{Config: cfg, Traits: dedicated(), Stack: "org/project/stack"}, false)
	mark := recorder.One(t, releaseType, "longhorn").Inputs["values"].ObjectValue()["haIris"].ObjectValue()["stack"].StringValue()
	if mark != "org/project/stack" {
		t.Errorf("marked with %q", mark)
	}
}

// TestHooks_AreBound: to creation too, and to no deletion, which would make every destroy fail that does not run the program.
func TestHooks_AreBound(t *testing.T) {
	t.Parallel()
	recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated()}, false)
	for typeToken, want := range map[string]string{
		releaseType: "storage-guard-release", "kubernetes:storage.k8s.io/v1:StorageClass": "storage-guard-class",
	} {
		hooks := recorder.Find(typeToken)[0].RegisterRPC.GetHooks()
		if !slices.Equal(hooks.GetBeforeCreate(), []string{want}) || !slices.Equal(hooks.GetBeforeUpdate(), []string{want}) {
			t.Errorf("%s has hooks %v, want %s", typeToken, hooks, want)
		}
		if len(hooks.GetBeforeDelete())+len(hooks.GetAfterDelete()) > 0 {
			t.Errorf("%s has delete hooks", typeToken)
		}
	}
}

func TestNew_PreparesTheNodesBeforeLonghorn(t *testing.T) {
	t.Parallel()
	prepared := dedicated()
	prepared.PrepareNodes = true
	recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: prepared}, false)
	if !dependsOn(recorder.One(t, releaseType, "longhorn"), "kubernetes:apps/v1:DaemonSet") {
		t.Error("Longhorn's manager would start on nodes without iSCSI and crash")
	}
}

func TestNew_ProtectsWhatTheDataDependsOn(t *testing.T) {
	t.Parallel()
	for _, protect := range []bool{true, false} {
		recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated(), Protect: protect}, false)
		release := recorder.One(t, releaseType, "longhorn")
		namespace := recorder.One(t, "kubernetes:core/v1:Namespace", "longhorn-system")
		for _, registration := range []testkit.Registration{release, namespace} {
			if got := registration.RegisterRPC.GetProtect(); got != protect {
				t.Errorf("%s: protect is %v, want %v", registration.Name, got, protect)
			}
		}
		settings := release.Inputs["values"].ObjectValue()["defaultSettings"].ObjectValue()
		if got := settings["deletingConfirmationFlag"].BoolValue(); got == protect {
			t.Errorf("protect %v: deletingConfirmationFlag is %v, so that Longhorn's uninstall would do the opposite", protect, got)
		}
	}
}

func TestNew_ChartComesFromWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	local := filepath.Join("testdata", "chart")
	cases := map[string]struct{ chart, wantChart, wantRepository, wantVersion string }{
		"repository": {"https://charts.example.com", "longhorn", "https://charts.example.com", "1.12.1"},
		"oci":        {"oci://registry.example.com/charts/longhorn", "oci://registry.example.com/charts/longhorn", "", "1.12.1"},
		"local":      {local, local, "", ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := storage.DefaultConfig()
			cfg.Chart = test.chart
			inputs := run(t, storage.Args{Config: cfg, Traits: dedicated()}, false).One(t, releaseType, "longhorn").Inputs
			if got := inputs["chart"].StringValue(); got != test.wantChart {
				t.Errorf("chart %q, want %q", got, test.wantChart)
			}
			repository := ""
			if options, ok := inputs["repositoryOpts"]; ok {
				repository = options.ObjectValue()["repo"].StringValue()
			}
			if repository != test.wantRepository {
				t.Errorf("repository %q, want %q", repository, test.wantRepository)
			}
			version := ""
			if given, ok := inputs["version"]; ok {
				version = given.StringValue()
			}
			if version != test.wantVersion {
				t.Errorf("version %q, want %q", version, test.wantVersion)
			}
		})
	}
}

func TestNew_OwnStorageInstallsNothing(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Install, cfg.ClassName = false, "rook-ceph-block"
	recorder := run(t, storage.Args{Config: cfg}, false)
	for _, registration := range recorder.Registrations() {
		if strings.HasPrefix(registration.TypeToken, "kubernetes:") {
			t.Errorf("%s is registered", registration.URN)
		}
	}
}

func TestNew_ChartValues(t *testing.T) {
	t.Parallel()
	overridden := storage.DefaultConfig()
	overridden.Values = map[string]any{
		"defaultSettings": map[string]any{"replicaReplenishmentWaitInterval": 60, "nodeDrainPolicy": "block-for-eviction"},
		"longhornUI":      map[string]any{"replicas": 0},
	}
	cases := map[string]storage.Args{
		"dedicated-disk": {Config: storage.DefaultConfig(), Traits: dedicated(), Protect: true},
		"root-disk":      {Config: storage.DefaultConfig(), Protect: true},
		"overridden":     {Config: overridden, Traits: dedicated()},
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := run(t, args, false).One(t, releaseType, "longhorn").Inputs["values"]
			rendered, err := json.MarshalIndent(values.ObjectValue().Mappable(), "", "  ")
			if err != nil {
				t.Fatalf("render values: %v", err)
			}
			testkit.Golden(t, "values-"+name+".json", string(rendered)+"\n")
		})
	}
}

func TestValidate_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*storage.Config)
		want   []string
	}{
		"default": {func(*storage.Config) {}, nil},
		"several at once": {func(c *storage.Config) { c.Replicas, c.Version, c.ClassName = 1, "v1.12", "Longhorn!" }, []string{
			"storage.replicas: got 1, want 2 to 20", `storage.version: got "v1.12"`, `storage.className: got "Longhorn!"`,
		}},
		"too many replicas":           {func(c *storage.Config) { c.Replicas = 21 }, []string{"storage.replicas: got 21"}},
		"class that Longhorn manages": {func(c *storage.Config) { c.ClassName = "longhorn" }, []string{`storage.className: got "longhorn"`}},
		"image without a tag": {func(c *storage.Config) { c.NodePrepImage = "registry.example.com:5000/busybox" }, []string{
			`storage.nodePrepImage: got "registry.example.com:5000/busybox", want an image with sh and nsenter at a fixed tag`,
		}},
		"image that moves": {func(c *storage.Config) { c.NodePrepImage = "busybox:latest" }, []string{`storage.nodePrepImage: got "busybox:latest"`}},
		"no image":         {func(c *storage.Config) { c.NodePrepImage = "" }, []string{`storage.nodePrepImage: got ""`}},
		"image by digest": {func(c *storage.Config) {
			c.NodePrepImage = "busybox@sha256:0123012301230123012301230123012301230123012301230123012301230123"
		}, nil},
		"no chart":                             {func(c *storage.Config) { c.Chart = "" }, []string{"storage.chart: got nothing"}},
		"chart that is not there":              {func(c *storage.Config) { c.Chart = "charts/none" }, []string{`storage.chart: got "charts/none"`, "Chart.yaml"}},
		"own storage with a class of our name": {func(c *storage.Config) { c.Install = false }, nil},
		"own storage without a class": {
			func(c *storage.Config) { c.Install, c.ClassName = false, "" },
			[]string{`storage.className: got "", want the name of a StorageClass`},
		},
		"own storage and Longhorn's keys": {func(c *storage.Config) {
			*c = storage.Config{ClassName: "rook-ceph-block", Values: map[string]any{"longhornUI": 1}}
		}, []string{
			"storage.replicas: got a value, want nothing with storage.install: false: it is a setting of Longhorn",
			"storage.version: got a value, want nothing", "storage.chart: got a value, want nothing",
			"storage.nodePrepImage: got a value, want nothing", "storage.values: got a value, want nothing",
		}},
		"own storage and defaults": {func(c *storage.Config) { c.Install, c.Values = false, nil }, nil},
		"version of a local chart": {func(c *storage.Config) {
			c.Chart, c.Version = filepath.Join("testdata", "chart"), "1.12.2"
		}, []string{"storage.version: got a value, want nothing with a local chart: it is a setting of a chart from a repository"}},
		"local chart": {func(c *storage.Config) { c.Chart = filepath.Join("testdata", "chart") }, nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := storage.DefaultConfig()
			test.change(&cfg)
			err := cfg.Validate()
			if (err == nil) != (len(test.want) == 0) {
				t.Fatalf("got %v, want problems %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestValidateOn_RefusesAnImageForNodesThatNothingPrepares(t *testing.T) {
	t.Parallel()
	const want = "storage.nodePrepImage: got a value, want nothing with this cluster.cloud"
	usual, own, none := storage.DefaultConfig(), storage.DefaultConfig(), storage.DefaultConfig()
	own.NodePrepImage, own.Replicas = "registry.example.com/busybox:1.37.0", 1
	none.Install, none.NodePrepImage = false, own.NodePrepImage
	prepared := traits.Storage{PrepareNodes: true}
	if err := own.ValidateOn(traits.Storage{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "storage.replicas: got 1") {
		t.Errorf("got %v, want %q and the other problem", err, want)
	}
	own.Replicas = 3
	for name, err := range map[string]error{"usual": usual.ValidateOn(traits.Storage{}), "prepared": own.ValidateOn(prepared)} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := none.ValidateOn(traits.Storage{}); err == nil || strings.Count(err.Error(), "nodePrepImage") != 1 {
		t.Errorf("got %v, want the key once", err)
	}
}

// The package must work on any cluster, so it must not know any by name.
func TestPackage_NamesNoCloud(t *testing.T) {
	t.Parallel()
	testkit.CheckNamesNoCloud(t, ".")
}

func dependsOn(registration testkit.Registration, typeToken string) bool {
	for _, dependency := range registration.RegisterRPC.GetDependencies() {
		if strings.Contains(dependency, typeToken) {
			return true
		}
	}
	return false
}
