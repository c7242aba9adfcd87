package iris

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/claims"
	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/testkit"
)

const testBackup = "s3://acme-backups@eu-west-1/iris/?backup=backup-1&volume=pvc-1"

// objects is an API server: what there is by path, as JSON. An error is the answer to everything.
type objects struct {
	there map[string]string
	err   error
}

func (o *objects) Get(_ context.Context, path string, into any) (bool, error) {
	text, found := o.there[path]
	if o.err != nil || !found {
		return false, o.err
	}
	return true, json.Unmarshal([]byte(text), into)
}

// restorer is a storage whose answers are given.
type restorer struct {
	check error
	looks []clock.Found
	err   error
	asked []string
	// retired are the volumes that nothing uses any more; refuses is what that is answered with.
	retired []string
	refuses error
}

func (r *restorer) Retire(_ context.Context, driver, volume string) error {
	r.retired = append(r.retired, driver+"/"+volume)
	return r.refuses
}

func (r *restorer) Check(context.Context) error { return r.check }

func (r *restorer) Filled(_ context.Context, driver, volume string) (clock.Found, error) {
	at := len(r.asked)
	r.asked = append(r.asked, driver+"/"+volume)
	if r.err != nil {
		return clock.Found{}, r.err
	}
	return r.looks[min(at, len(r.looks)-1)], nil
}

// restored is a configuration whose newest volume comes from somewhere.
func restored(generation int, from RestoreFrom, change ...func(*Config)) Config {
	return community(append(change, func(c *Config) { c.Generation, c.RestoreFrom = generation, from })...)
}

func onNFS(options string) RestoreFrom {
	return RestoreFrom{Backup: "nfs://nas:/b?nfsOptions=" + options + "&backup=backup-1&volume=pvc-1"}
}

func later() map[int]string { return map[int]string{2: "longhorn-iris-2", 3: "longhorn-iris-3"} }

func TestGenerations_HaveClaimsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"iris-pvc": 1, "iris-pvc-2": 2, "iris-pvc-12": 12,
		"iris-pvc-1": 0, "iris-pvc-02": 0, "iris-pvc-": 0, "iris-pvc-x": 0, "iris-pvc-+2": 0, "other": 0, "": 0,
	} {
		if got, valid := claims.Generation(name); valid != (want > 0) || valid && (got != want || claims.Name(got) != name) {
			t.Errorf("%q is generation %d, %t", name, got, valid)
		}
	}
	cfg := community(func(c *Config) { c.Generation, c.OldestGeneration = 4, 2 })
	if got := cfg.claimNames(); !slices.Equal(got, []string{"iris-pvc-2", "iris-pvc-3", "iris-pvc-4"}) || cfg.claimName() != "iris-pvc-4" {
		t.Errorf("the claims are %v", got)
	}
}

func TestValidate_RefusesGenerations(t *testing.T) {
	t.Parallel()
	mistakes{
		`iris.generation: got 0, want 1`:                                 func(c *Config) { c.Generation = 0 },
		`iris.oldestGeneration: got 0, want 1 to 1`:                      func(c *Config) { c.OldestGeneration = 0 },
		`iris.oldestGeneration: got 3, want 1 to 2, which`:               func(c *Config) { c.Generation, c.OldestGeneration = 2, 3 },
		`iris.oldestGeneration: got 1, want at least 91`:                 func(c *Config) { c.Generation = 100 },
		`iris.restoreFrom: got a backup and a snapshot, want one`:        func(c *Config) { c.RestoreFrom = RestoreFrom{testBackup, "before"} },
		`iris.restoreFrom.snapshot: got "Before", want an object's name`: func(c *Config) { c.RestoreFrom.Snapshot = "Before" },
	}.areRefused(t)
}

// steps runs the program on what an earlier run has recorded, and returns what the engine would create, update and delete, by name. It takes
// inputs that are not to change from the record, as the engine does.
func steps(t *testing.T, before, after Config) (created, updated, deleted []string) {
	t.Helper()
	was, will := byURN(t, before), byURN(t, after)
	for urn, one := range will {
		old, recorded := was[urn]
		if !recorded {
			created = append(created, one.Name)
			continue
		}
		for _, ignored := range one.RegisterRPC.GetIgnoreChanges() {
			path, err := resource.ParsePropertyPath(ignored)
			if err != nil || !path.Reset(old.Inputs, one.Inputs) {
				t.Errorf("%s: the engine cannot ignore %s: %v", urn, ignored, err)
			}
		}
		if !old.Inputs.DeepEquals(one.Inputs) {
			updated = append(updated, one.Name)
		}
	}
	for urn, one := range was {
		if _, stays := will[urn]; !stays {
			deleted = append(deleted, one.Name)
		}
	}
	for _, names := range [][]string{created, updated, deleted} {
		slices.Sort(names)
	}
	return created, updated, deleted
}

func byURN(t *testing.T, cfg Config) map[string]testkit.Registration {
	t.Helper()
	result := scenario{args: Args{Config: cfg, LaterClasses: later()}}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	found := map[string]testkit.Registration{}
	for _, one := range result.Registrations() {
		found[one.URN] = one
	}
	return found
}

// A restore makes a claim and moves what uses it. Whether its source is still in the configuration afterwards changes no object.
func TestRestore_ChangesWhatItPromises(t *testing.T) {
	t.Parallel()
	backup, snapshot := RestoreFrom{Backup: testBackup}, RestoreFrom{Snapshot: "before-upgrade"}
	larger := func(c *Config) { c.Size = "40Gi" }
	guarded := guardedBy(agentImage)
	for name, test := range map[string]struct {
		before, after             Config
		created, updated, deleted []string
	}{
		"of a backup":   {community(), restored(2, backup), []string{"iris-pvc-2"}, []string{"iris", "iris"}, nil},
		"of a snapshot": {community(), restored(2, snapshot), []string{"iris-pvc-2"}, []string{"iris", "iris"}, nil},
		"with the guard": {
			community(guarded), restored(2, backup, guarded), []string{"iris-pvc-2"}, []string{"iris", "iris", "iris-guard", "iris-guard"}, nil,
		},
		"with backups": {
			community(backedUp(agentImage)), restored(2, backup, backedUp(agentImage)),
			[]string{"iris-pvc-2"},
			[]string{"iris", "iris", "iris-backup-consistent", "iris-guard", "iris-guard"},
			nil,
		},
		"with alerts and the dashboard": {
			community(watched), restored(2, backup, watched), []string{"iris-pvc-2"}, []string{"iris", "iris", "iris-alerts", "iris-dashboard"}, nil,
		},
		"of another size":         {community(), restored(2, backup, larger), []string{"iris-pvc-2"}, []string{"iris", "iris"}, nil},
		"once more":               {restored(2, backup), restored(3, snapshot), []string{"iris-pvc-3"}, []string{"iris", "iris"}, nil},
		"nothing":                 {restored(2, backup), restored(2, backup), nil, nil, nil},
		"backup taken out":        {restored(2, backup), restored(2, RestoreFrom{}), nil, []string{"iris"}, nil},
		"snapshot taken out":      {restored(2, snapshot), restored(2, RestoreFrom{}), nil, []string{"iris"}, nil},
		"snapshot of a clone out": {restored(1, snapshot), community(), nil, []string{"iris"}, nil},
		"backup of a clone out":   {restored(1, backup), community(), nil, []string{"iris"}, nil},
		"grown later":             {restored(2, RestoreFrom{}), restored(2, RestoreFrom{}, larger), nil, []string{"iris-pvc-2"}, nil},
		"old one given up": {
			restored(2, RestoreFrom{}), restored(2, RestoreFrom{}, func(c *Config) { c.OldestGeneration = 2 }), nil, nil, []string{"iris-pvc"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created, updated, deleted := steps(t, test.before, test.after)
			if !slices.Equal(created, test.created) || !slices.Equal(updated, test.updated) || !slices.Equal(deleted, test.deleted) {
				t.Errorf("creates %v, updates %v, deletes %v", created, updated, deleted)
			}
		})
	}
}

func TestRestore_MakesTheClaimFromItsSourceAndProtectsAll(t *testing.T) {
	t.Parallel()
	const claim = "kubernetes:core/v1:PersistentVolumeClaim"
	for name, test := range map[string]struct {
		cfg               Config
		class, dataSource string
	}{
		"backup":   {restored(2, RestoreFrom{Backup: testBackup}), "longhorn-iris-2", ""},
		"snapshot": {restored(2, RestoreFrom{Snapshot: "before"}), "longhorn-iris-2", "snapshot.storage.k8s.io/VolumeSnapshot/before"},
		"clone":    {restored(1, RestoreFrom{Snapshot: "before"}), "longhorn-iris", "snapshot.storage.k8s.io/VolumeSnapshot/before"},
		"other":    {restored(4, RestoreFrom{Snapshot: "before"}), "longhorn-iris", "snapshot.storage.k8s.io/VolumeSnapshot/before"},
	} {
		result := scenario{args: Args{Config: test.cfg, LaterClasses: later()}}.run(t)
		if result.err != nil {
			t.Fatal(result.err)
		}
		made := guard.InputsOf(result.One(t, claim, test.cfg.claimName()).Inputs)
		source := made.Text("spec", "dataSource", "apiGroup") + "/" + made.Text("spec", "dataSource", "kind") + "/" + made.Text("spec", "dataSource", "name")
		if got := strings.Trim(source, "/"); got != test.dataSource || made.Text("spec", "storageClassName") != test.class {
			t.Errorf("%s: class %s, source %q", name, made.Text("spec", "storageClassName"), got)
		}
		all := result.Find(claim)
		for _, one := range all {
			if !one.RegisterRPC.GetProtect() {
				t.Errorf("%s: %s is not protected", name, one.Name)
			}
			if guard.InputsOf(one.Inputs).Text("spec", "dataSource", "name") != "" && one.Name != test.cfg.claimName() {
				t.Errorf("%s: %s has the source of another", name, one.Name)
			}
		}
		if len(all) != test.cfg.Generation {
			t.Errorf("%s: %d claims", name, len(all))
		}
		deployment := guard.InputsOf(result.One(t, "kubernetes:apps/v1:Deployment", deploymentName).Inputs)
		if !deployment.Has(test.cfg.claimName()) || test.cfg.Generation > 1 && deployment.Has(claims.First) {
			t.Errorf("%s: the Deployment mounts another claim", name)
		}
	}
}

// TestGeneration_IsRefused compares the records of two runs of the real program.
func TestGeneration_IsRefused(t *testing.T) {
	t.Parallel()
	inputs := func(cfg Config) guard.Inputs {
		result := scenario{args: Args{Config: cfg, LaterClasses: later()}, preview: true}.run(t)
		if result.err != nil {
			t.Fatal(result.err)
		}
		return guard.InputsOf(result.One(t, "ha-iris:iris:IRIS", "iris").Inputs)
	}
	backup, other, snapshot := RestoreFrom{Backup: testBackup}, RestoreFrom{Backup: testBackup + "0"}, RestoreFrom{Snapshot: "before"}
	none := func(string) bool { return false }
	plain, first, second := inputs(community()), inputs(restored(1, backup)), inputs(restored(2, backup))
	third := inputs(restored(3, backup))
	unnamed := guard.InputsOf(resource.PropertyMap{})
	for name, test := range map[string]struct {
		before, after guard.Inputs
		made          claimIsThere
		unprotected   bool
		mounted       int
		want          string
	}{
		"the next to one never made":  {before: second, after: third, made: none, mounted: 1, want: "iris.generation: got 3, want 2: the volume of generation 2 was never made, and the database runs on that of generation 1. Set it back"},
		"unprotected too":             {before: second, after: third, made: none, mounted: 1, unprotected: true, want: "iris.generation: got 3, want 2"},
		"the next to one deleted":     {before: second, after: third, made: none, mounted: 2},
		"the next to one that is not": {before: second, after: third, made: none},
		"the next to one not used":    {before: second, after: third, mounted: 1},
		"the next":                    {before: plain, after: second},
		"the next after a clone":      {before: first, after: second},
		"the one after the next":      {before: plain, after: inputs(restored(3, backup)), want: "iris.generation: got 3, want 2, the one after 1"},
		"down":                        {before: second, after: plain, want: "iris.generation: got 1, want at least 2, on whose volume the database runs"},
		"down, given up":              {before: second, after: plain, unprotected: true},
		"down, never made":            {before: second, after: plain, made: none},
		"another backup":              {before: second, after: inputs(restored(2, other)), want: "iris.restoreFrom: got backup " + testBackup + "0, want backup " + testBackup + " or nothing: the volume of generation 2 is there"},
		"another kind":                {before: second, after: inputs(restored(2, snapshot)), want: "iris.restoreFrom: got snapshot before"},
		"another backup, unprotected": {before: second, after: inputs(restored(2, other)), unprotected: true, want: "iris.restoreFrom: got backup"},
		"another backup, never made":  {before: second, after: inputs(restored(2, other)), made: none},
		"another's mount options":     {before: inputs(restored(2, onNFS("soft"))), after: inputs(restored(2, onNFS("hard")))},
		"options are not shown":       {before: second, after: inputs(restored(2, onNFS("soft"))), want: "iris.restoreFrom: got backup nfs://nas:/b?backup=backup-1&volume=pvc-1, want"},
		"none any more":               {before: second, after: inputs(restored(2, RestoreFrom{}))},
		"one without a generation":    {before: plain, after: first, want: "iris.restoreFrom: got backup " + testBackup + ", want nothing: the"},
		"the same":                    {before: second, after: second},
		"not recorded yet":            {before: unnamed, after: second, made: none},
		"not recorded, but there":     {before: unnamed, after: first, want: "iris.restoreFrom: got backup " + testBackup + ", want nothing: the"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := test.made
			if made == nil {
				made = there
			}
			mounted := func() int { return test.mounted }
			err := refuseOtherVolume(!test.unprotected, made, mounted)(test.before, test.after)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestClaims_ThatCannotBeLookedAtCountAsThere(t *testing.T) {
	t.Parallel()
	api := &objects{there: map[string]string{"/api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc": "{}"}}
	if made := claimsOf(t.Context(), api, "iris"); !made("iris-pvc") || made("iris-pvc-2") {
		t.Error("not what there is")
	}
	if !claimsOf(t.Context(), &objects{err: live.ErrUnknown}, "iris")("iris-pvc-2") || !claimsOf(t.Context(), nil, "iris")("iris-pvc-2") {
		t.Error("what is not known is called away")
	}
}

func claimInput(name string) guard.Inputs {
	return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"metadata": map[string]any{"name": name}}))
}

// sourceCase is a claim that is to be made.
type sourceCase struct {
	cfg      Config
	api      *objects
	restorer *restorer
	claim    string
	preview  bool
	want     string
	warned   bool
}

func (c sourceCase) check(t *testing.T, name string) {
	t.Helper()
	warnings := ""
	f := &source{cfg: c.cfg, preview: c.preview, warn: func(text string) { warnings += text }}
	if c.api != nil {
		f.api = c.api
	}
	if c.restorer != nil {
		f.restorer = c.restorer
	}
	err := f.beforeCreate(t.Context(), claimInput(c.claim))
	if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
		t.Errorf("%s: got %v", name, err)
	}
	if (warnings != "") != c.warned {
		t.Errorf("%s: warned %q", name, warnings)
	}
}

// snapshots is a cluster with the VolumeSnapshot before.
func snapshots(status string) *objects {
	return &objects{there: map[string]string{
		"/apis/snapshot.storage.k8s.io/v1/namespaces/iris/volumesnapshots/before": `{"status":{` + status + `}}`,
	}}
}

// No claim begins as an empty volume that is to have data.
func TestSource_IsCheckedBeforeTheClaimIsMade(t *testing.T) {
	t.Parallel()
	from, ready := RestoreFrom{Snapshot: "before"}, snapshots(`"readyToUse":true,"restoreSize":"20Gi"`)
	waiting := func(claim, uid string) *objects {
		return &objects{there: map[string]string{"/api/v1/persistentvolumes": fmt.Sprintf(
			`{"items":[{"spec":{}},{"spec":{"claimRef":{"namespace":"iris","name":%q,"uid":%q}}}]}`, claim, uid)}}
	}
	mounting := func(claim string) *objects {
		return &objects{there: map[string]string{"/apis/apps/v1/namespaces/iris/deployments/iris": fmt.Sprintf(
			`{"spec":{"template":{"spec":{"volumes":[{"name":"tmp"},{"persistentVolumeClaim":{"claimName":%q}}]}}}}`, claim)}}
	}
	for name, test := range map[string]sourceCase{
		"an empty first one":      {cfg: community(), claim: claims.First},
		"an empty second one":     {cfg: restored(2, RestoreFrom{}), claim: "iris-pvc-2", want: "iris.restoreFrom: got nothing, want a backup or a snapshot: generation 2 is new"},
		"an older one":            {cfg: restored(3, from), claim: "iris-pvc-2", api: ready, want: "iris.oldestGeneration: got 1, want at least 3: this stack does not have the volume of generation 2"},
		"one never made":          {cfg: restored(3, from), claim: "iris-pvc-2", api: mounting("iris-pvc"), want: "iris.generation: got 3, want 2: the volume of generation 2 was never made, and the database runs on that of generation 1"},
		"an older one, lost":      {cfg: restored(3, from), claim: "iris-pvc-2", api: mounting("iris-pvc-2"), want: "iris.oldestGeneration: got 1, want at least 3"},
		"one whose volume waits":  {cfg: restored(2, RestoreFrom{}), api: waiting("iris-pvc-2", ""), claim: "iris-pvc-2"},
		"an older one that waits": {cfg: restored(3, from), api: waiting("iris-pvc-2", ""), claim: "iris-pvc-2"},
		"of a claim that was":     {cfg: restored(2, RestoreFrom{}), api: waiting("iris-pvc-2", "u-1"), claim: "iris-pvc-2", want: "iris.restoreFrom: got nothing"},
		"another's volume waits":  {cfg: restored(2, RestoreFrom{}), api: waiting("iris-pvc", ""), claim: "iris-pvc-2", want: "iris.restoreFrom: got nothing"},
		"a backup":                {cfg: restored(2, RestoreFrom{Backup: testBackup}), restorer: &restorer{}, claim: "iris-pvc-2"},
		"a bad backup":            {cfg: restored(1, RestoreFrom{Backup: testBackup}), restorer: &restorer{check: errors.New("bad")}, claim: claims.First, want: "bad"},
		"a snapshot of no use":    {cfg: restored(2, from), api: ready, restorer: &restorer{check: errors.New("its class")}, claim: "iris-pvc-2", want: "its class"},
	} {
		test.check(t, name)
	}
}

func TestSource_ASnapshotIsLookedAtBeforeTheClaimIsMade(t *testing.T) {
	t.Parallel()
	from, refused := RestoreFrom{Snapshot: "before"}, &live.StatusError{Code: http.StatusForbidden, Message: "forbidden"}
	ready := snapshots(`"readyToUse":true,"restoreSize":"20Gi"`)
	for name, test := range map[string]sourceCase{
		"a snapshot":              {cfg: restored(2, from), api: ready, claim: "iris-pvc-2"},
		"of no known size":        {cfg: restored(2, from), api: snapshots(`"readyToUse":true`), claim: "iris-pvc-2"},
		"that is not there":       {cfg: restored(2, from), api: &objects{}, claim: "iris-pvc-2", want: `iris.restoreFrom.snapshot: got "before", want a VolumeSnapshot in the namespace iris`},
		"that is not ready":       {cfg: restored(2, from), api: snapshots(`"error":{"message":"no space"}`), claim: "iris-pvc-2", want: `iris.restoreFrom.snapshot: got "before", want one that is ready to use (kubectl -n iris get volumesnapshots): no space`},
		"of another size":         {cfg: restored(2, from), api: snapshots(`"readyToUse":true,"restoreSize":"32212254720"`), claim: "iris-pvc-2", want: `iris.size: got "20Gi", want 30Gi, the size of the snapshot's volume`},
		"on no known cluster":     {cfg: restored(1, from), api: &objects{err: live.ErrUnknown}, claim: claims.First, preview: true},
		"that may not be read":    {cfg: restored(2, from), api: &objects{err: refused}, claim: "iris-pvc-2", warned: true},
		"while the server is out": {cfg: restored(2, from), api: &objects{err: errors.New("refused")}, claim: "iris-pvc-2", want: "look at VolumeSnapshot iris/before: refused"},
		"the same, in a preview":  {cfg: restored(2, from), api: &objects{err: errors.New("refused")}, claim: "iris-pvc-2", preview: true, warned: true},
	} {
		test.check(t, name)
	}
}

// A volume that was freed for the claim and does not fit stays where it is, and the database would begin empty.
func TestSource_RefusesAClaimWhoseVolumeWaitsAndDoesNotFit(t *testing.T) {
	t.Parallel()
	volume := func(name, claim, size, mode, more string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q%s},"spec":{"capacity":{"storage":%q},"accessModes":[%q],"storageClassName":"other",`+
			`"claimRef":{"namespace":"iris","name":%q}},"status":{"phase":"Released"}}`, name, more, size, mode, claim)
	}
	const fits, small = "21474836480", "10Gi"
	for name, test := range map[string]struct {
		cfg     Config
		claim   string
		volumes []string
		want    []string
	}{
		"it fits":                {community(), claims.First, []string{volume("pv-1", claims.First, fits, "ReadWriteOncePod", "")}, nil},
		"it is larger":           {community(), claims.First, []string{volume("pv-1", claims.First, "40Gi", "ReadWriteOncePod", "")}, nil},
		"it is too small":        {community(), claims.First, []string{volume("pv-1", claims.First, small, "ReadWriteOncePod", "")}, []string{`iris.size: got 20Gi, want 10Gi, the volume's size; it can grow afterwards: the PersistentVolume pv-1 waits for the PVC iris-pvc`}},
		"of a later one":         {restored(2, RestoreFrom{Snapshot: "s"}), "iris-pvc-2", []string{volume("pv-1", "iris-pvc-2", small, "ReadWriteOncePod", "")}, []string{"iris.size: got 20Gi, want 10Gi"}},
		"of an older one":        {restored(2, RestoreFrom{Snapshot: "s"}), claims.First, []string{volume("pv-1", claims.First, small, "ReadWriteOncePod", "")}, []string{"iris.oldestGeneration: got 1, want 2, which leaves that volume as it is, because it has 10Gi"}},
		"another mode":           {community(), claims.First, []string{volume("pv-1", claims.First, fits, "ReadWriteMany", "")}, []string{"iris.accessMode: got ReadWriteOncePod, want ReadWriteMany, as the volume has it"}},
		"it is being deleted":    {community(), claims.First, []string{volume("pv-1", claims.First, fits, "ReadWriteOncePod", `,"deletionTimestamp":"2026-01-01T00:00:00Z"`)}, []string{"the PersistentVolume pv-1: got one that is being deleted"}},
		"two, one of which fits": {community(), claims.First, []string{volume("pv-1", claims.First, small, "ReadWriteOncePod", ""), volume("pv-2", claims.First, fits, "ReadWriteOncePod", "")}, nil},
		"two, none of which":     {community(), claims.First, []string{volume("pv-1", claims.First, small, "ReadWriteOncePod", ""), volume("pv-2", claims.First, fits, "ReadWriteMany", "")}, []string{"pv-1", "pv-2"}},
		"another's":              {community(), claims.First, []string{volume("pv-1", "other", small, "ReadWriteOncePod", "")}, nil},
	} {
		f := &source{cfg: test.cfg, api: &objects{there: map[string]string{
			"/api/v1/persistentvolumes": `{"items":[` + strings.Join(test.volumes, ",") + `]}`,
		}}}
		result := scenario{args: Args{Config: test.cfg, LaterClasses: later()}, preview: true}.run(t)
		made := guard.InputsOf(result.One(t, "kubernetes:core/v1:PersistentVolumeClaim", test.claim).Inputs)
		err := f.beforeCreate(t.Context(), made)
		if (err != nil) != (len(test.want) > 0) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
}

// Everything that uses the claim waits for its data, in updates too, and no claim is made without a look at its source.
func TestRestore_HooksAreBound(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community(backedUp(agentImage), watched))
	for name, kind := range map[string]string{
		alertsName: "kubernetes:monitoring.coreos.com/v1:PrometheusRule", dashboardName: "kubernetes:core/v1:ConfigMap",
		deploymentName: "kubernetes:apps/v1:Deployment", guardName: "kubernetes:apps/v1:Deployment", backupName: "kubernetes:batch/v1:CronJob",
	} {
		user := result.One(t, kind, name)
		hooks := user.RegisterRPC.GetHooks()
		for when, bound := range map[string][]string{"create": hooks.GetBeforeCreate(), "update": hooks.GetBeforeUpdate()} {
			// Without the claim the hook would wait for what comes after it.
			if !strings.Contains(strings.Join(user.RegisterRPC.GetDependencies(), " "), "PersistentVolumeClaim::iris-pvc") {
				t.Errorf("%s does not come after the claim", name)
			}
			if !slices.Contains(bound, "iris-guard-filled") {
				t.Errorf("%s does not wait at its %s: %v", name, when, bound)
			}
		}
	}
	if bound := result.Find("kubernetes:core/v1:PersistentVolumeClaim")[0].RegisterRPC.GetHooks().GetBeforeCreate(); !slices.Contains(bound, "iris-guard-source") {
		t.Errorf("the claim has %v", bound)
	}
}

// A guard that runs reads the claim that it was started for until it is replaced.
func TestGuard_MayReadTheClaimsOfAllGenerations(t *testing.T) {
	t.Parallel()
	cfg := restored(2, RestoreFrom{Backup: testBackup}, guardedBy(agentImage))
	result := scenario{args: Args{Config: cfg, LaterClasses: later(), StorageClass: pulumi.String("longhorn-iris")}}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	role := fmt.Sprint(result.One(t, "kubernetes:rbac.authorization.k8s.io/v1:Role", guardName).Inputs["rules"])
	if !strings.Contains(role, "iris-pvc}") || !strings.Contains(role, "iris-pvc-2}") {
		t.Errorf("the guard may %s", role)
	}
	if !guard.InputsOf(result.One(t, "kubernetes:apps/v1:Deployment", guardName).Inputs).Has("iris-pvc-2") {
		t.Error("the guard looks after another claim")
	}
}

// Create posts nothing: what is made is tested where it is made.
func (*objects) Create(context.Context, string, any, any) error { return errors.ErrUnsupported }
