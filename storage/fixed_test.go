package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/testkit"
)

// componentInputs are what a run of the real program records.
func componentInputs(t *testing.T, cfg Config, generations ...Generations) resource.PropertyMap {
	t.Helper()
	recorder := &testkit.Recorder{}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "cluster", nil)
		if err != nil {
			return fmt.Errorf("create provider: %w", err)
		}
		args := &Args{Config: cfg, Provider: provider}
		if len(generations) > 0 {
			args.Generations = generations[0]
		}
		_, err = New(ctx, "storage", args)
		return err
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	component := recorder.One(t, componentType, "storage")
	if hooks := component.RegisterRPC.GetHooks().GetBeforeUpdate(); len(hooks) != 1 || hooks[0] != "storage-guard-fixed" {
		t.Errorf("the component has hooks %v", hooks)
	}
	return component.Inputs
}

// changed is the configuration of a stack that sets nothing, but for what change does.
func changed(change func(*Config)) Config {
	cfg := DefaultConfig()
	change(&cfg)
	return cfg
}

// TestFixed_RefusesWhatWouldBeAnotherStorage runs the hook on the inputs of two runs of the real program, as the engine does.
func TestFixed_RefusesWhatWouldBeAnotherStorage(t *testing.T) {
	t.Parallel()
	const wayOut = "restore a backup of this one into it"
	usual, own := DefaultConfig(), changed(func(c *Config) { c.Install, c.ClassName = false, "fast" })
	for name, test := range map[string]struct {
		before, after Config
		unprotected   bool
		want          []string
	}{
		"nothing": {before: usual, after: usual},
		"what can change": {before: usual, after: changed(func(c *Config) {
			c.Version, c.Chart, c.NodePrepImage = "1.12.2", "oci://registry.example.com/longhorn", "busybox:1.38.0"
			c.Values = map[string]any{"longhornUI": map[string]any{"replicas": 0}}
		})},
		"class":         {before: usual, after: changed(func(c *Config) { c.ClassName = "other" }), want: []string{`storage.className: got "other", want "longhorn-iris"`, wayOut}},
		"class of ours": {before: own, after: changed(func(c *Config) { c.Install, c.ClassName = false, "slow" }), want: []string{`storage.className: got "slow", want "fast"`, wayOut}},
		"uninstall":     {before: usual, after: changed(func(c *Config) { c.Install = false }), want: []string{"storage.install: got false, want true", wayOut, "iris.protectData"}},
		"install":       {before: changed(func(c *Config) { c.Install = false }), after: usual, want: []string{"storage.install: got true, want false", wayOut}},
		"both":          {before: usual, after: own, want: []string{"storage.install: got false", `storage.className: got "fast"`}},
		"replicas, of a cluster that nobody can ask": {
			before: usual, after: changed(func(c *Config) { c.Replicas = 2 }), want: []string{"storage.replicas: got 2, want 3"},
		},
		"replicas of what is not installed": {before: own, after: changed(func(c *Config) { c.Install, c.ClassName, c.Replicas = false, "fast", 2 })},
		"given up":                          {before: usual, after: changed(func(c *Config) { c.Install, c.ClassName, c.Replicas = false, "fast", 2 }), unprotected: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := refuseOtherStorage(t.Context(), &Args{Config: test.after, Protect: !test.unprotected})
			before, after := guard.InputsOf(componentInputs(t, test.before)), guard.InputsOf(componentInputs(t, test.after))
			checkRefusal(t, check(before, after), test.want)
			// The same change in the first run of a version that records.
			checkRefusal(t, check(guard.Inputs{}, after), nil)
		})
	}
	check := refuseOtherStorage(t.Context(), &Args{Config: usual, Protect: true})
	another := inputs(map[string]any{"driver": "Scratch", "install": true, "className": usual.ClassName})
	checkRefusal(t, check(another, guard.InputsOf(componentInputs(t, usual))), []string{`the storage driver: got "Longhorn", want "Scratch"`})
}

// The class would be deleted and made again for the source before the claim's own hook refuses it.
func TestFixed_RefusesASourceForAVolumeThatIsThere(t *testing.T) {
	t.Parallel()
	const from, other = "s3://b@r/?backup=backup-1&volume=pvc-1", "s3://b@r/?backup=backup-2&volume=pvc-1"
	const claimPath, classPath = "/api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc", "/apis/storage.k8s.io/v1/storageclasses/longhorn-iris"
	class := func(backup string) map[string]any {
		return map[string]any{"parameters": map[string]any{fromBackup: backup}}
	}
	for name, test := range map[string]struct {
		objects map[string]any
		status  int
		want    []string
	}{
		"a volume that began empty":  {objects: map[string]any{claimPath: map[string]any{}, classPath: map[string]any{}}, want: []string{"iris.restoreFrom: got backup " + from + ", want nothing", "set iris.generation to 2"}},
		"one of another backup":      {objects: map[string]any{claimPath: map[string]any{}, classPath: class(other)}, want: []string{"want backup " + other + " or nothing"}},
		"one of this backup":         {objects: map[string]any{claimPath: map[string]any{}, classPath: class(from)}},
		"a class without its volume": {objects: map[string]any{classPath: class(other)}},
		"a volume without its class": {objects: map[string]any{claimPath: map[string]any{}}},
		"nobody may look":            {status: 403},
		"an API server in trouble":   {status: 500, want: []string{"look at what the volume was made from"}},
	} {
		generations := Generations{Oldest: 1, Newest: 1, Backup: from, Namespace: "iris"}
		k, api, _ := newKeeper(t, test.objects)
		api.status = test.status
		check := refuseOtherStorage(t.Context(), &Args{Config: DefaultConfig(), Live: k.live, Generations: generations})
		before, after := guard.InputsOf(componentInputs(t, DefaultConfig())), guard.InputsOf(componentInputs(t, DefaultConfig(), generations))
		if !guard.Changed(before, after, "restoredFrom") {
			t.Errorf("%s: the hook would not run", name)
		}
		t.Run(name, func(t *testing.T) { checkRefusal(t, check(before, after), test.want) })
	}
	later := componentInputs(t, DefaultConfig(), Generations{Oldest: 1, Newest: 2, Backup: from})
	if !later.DeepEquals(componentInputs(t, DefaultConfig())) {
		t.Errorf("a later generation has a class of its own, and changes the inputs: %v", later)
	}
}

func TestCopies_FollowTheVolumes(t *testing.T) {
	t.Parallel()
	const command = `kubectl -n longhorn-system patch volumes.longhorn.io %s --type merge -p '{"spec":{"numberOfReplicas":2}}'`
	ours := fmt.Sprintf(command, "pvc-1")
	all := fmt.Sprintf(command, `$(kubectl get persistentvolumes -o jsonpath='{.items[?(@.spec.storageClassName=="longhorn-iris")].spec.csi.volumeHandle}')`)
	back := "pulumi config set --path storage.replicas 3"
	two := changed(func(c *Config) { c.Replicas = 2 })
	for name, test := range map[string]struct {
		status int  // of every answer
		gone   bool // the volume has gone first
		none   bool // there is no volume
		want   []string
	}{
		"the volume has the old number": {want: []string{"storage.replicas: got 2, want 3", ours, back}},
		"the volume has gone first":     {gone: true},
		"there is no volume":            {none: true},
		"nobody may look":               {status: 403, want: []string{"storage.replicas: got 2, want 3", all, back, "403"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := volumeObjects(t)
			list := objects["/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes"].(items)
			switch {
			case test.gone:
				list.Items[0].(map[string]any)["spec"] = map[string]any{"numberOfReplicas": 2}
			case test.none:
				list.Items = list.Items[1:]
				objects["/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes"] = list
			}
			k, api, _ := newKeeper(t, objects)
			api.status = test.status
			check := refuseOtherStorage(t.Context(), &Args{Config: two, Protect: true, Live: k.live})
			err := check(guard.InputsOf(componentInputs(t, DefaultConfig())), guard.InputsOf(componentInputs(t, two)))
			checkRefusal(t, err, test.want)
			if err != nil && strings.Contains(err.Error(), "pvc-2") {
				t.Errorf("a volume of another class:\n%v", err)
			}
		})
	}
}

// The class and the release follow in the same run: nobody has to be told what is done already.
func TestCopies_OfVolumesThatHaveGoneFirstNeedNoWarning(t *testing.T) {
	t.Parallel()
	objects := volumeObjects(t)
	list := objects["/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes"].(items)
	list.Items[0].(map[string]any)["spec"] = map[string]any{"numberOfReplicas": 2}
	k, _, said := newKeeper(t, objects)
	if err := k.beforeRelease(t.Context(), releaseInputs(false, 3), releaseInputs(false, 2)); err != nil || said.String() != "" {
		t.Errorf("%v, said %q", err, said)
	}
}
