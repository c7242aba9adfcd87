package iris

import (
	"maps"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/claims"
	"ha-iris/internal/guard"
	"ha-iris/internal/testkit"
)

func TestCheckClaimChange_RefusesAnotherVolumeWhileProtected(t *testing.T) {
	t.Parallel()
	volume := claimIdentity{Namespace: "iris", Name: claims.First, StorageClass: "longhorn-iris", AccessMode: "ReadWriteOncePod"}
	with := func(change func(*claimIdentity)) claimIdentity {
		changed := volume
		change(&changed)
		return changed
	}
	for name, test := range map[string]struct {
		before, after claimIdentity
		unprotected   bool
		want          []string
	}{
		"the same": {before: volume, after: volume},
		"class": {
			before: volume, after: with(func(c *claimIdentity) { c.StorageClass = "other" }),
			want: []string{`storage.className: got "other", want "longhorn-iris"`},
		},
		"mode": {
			before: volume, after: with(func(c *claimIdentity) { c.AccessMode = "ReadWriteOnce" }),
			want: []string{`iris.accessMode: got "ReadWriteOnce", want "ReadWriteOncePod"`},
		},
		"namespace": {
			before: volume, after: with(func(c *claimIdentity) { c.Namespace = "db" }),
			want: []string{`iris.namespace: got "db", want "iris"`},
		},
		"name, in a later version of this program": {
			before: with(func(c *claimIdentity) { c.Name = "old-pvc" }), after: volume,
			want: []string{`the claim's name: got "iris-pvc", want "old-pvc"`},
		},
		"everything at once": {
			before: volume, after: claimIdentity{"a", "b", "c", "d"},
			want: []string{"iris.namespace", "the claim's name", "storage.className", "iris.accessMode"},
		},
		"given up":                            {before: volume, after: claimIdentity{"a", "b", "c", "d"}, unprotected: true},
		"not known yet":                       {before: volume, after: with(func(c *claimIdentity) { c.StorageClass = "" })},
		"recorded before this check existed":  {before: claimIdentity{}, after: volume},
		"unprotected and the same":            {before: volume, after: volume, unprotected: true},
		"case matters, as it does everywhere": {before: volume, after: with(func(c *claimIdentity) { c.Namespace = "IRIS" }), want: []string{"iris.namespace"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectRefusal(t, checkClaimChange(test.before, test.after, !test.unprotected), test.want)
		})
	}
}

// expectRefusal wants one line for each refusal, each with the way out.
func expectRefusal(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatal("not refused")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) || !strings.Contains(line, "restore a backup of this one into it") {
			t.Errorf("got %s, want %s and the way out", line, want[i])
		}
	}
}

func TestCheckShrink_RefusesASmallerVolume(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"the same":                        {"20Gi", "20Gi", nil},
		"the same in another unit":        {"20Gi", "20480Mi", nil},
		"larger":                          {"20Gi", "21Gi", nil},
		"smaller":                         {"20Gi", "10Gi", []string{`iris.size: got "10Gi", want at least "20Gi"`}},
		"smaller in a larger unit":        {"1100Gi", "1Ti", []string{"iris.size"}},
		"G is less than Gi":               {"20Gi", "20G", []string{"iris.size"}},
		"not known yet":                   {"20Gi", "", nil},
		"nothing recorded":                {"", "1Gi", nil},
		"back after a growth that failed": {"20Gi", "20Gi", nil}, // The claim still has its old size.
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectRefusal(t, checkShrink(test.before, test.after), test.want)
		})
	}
	if checkShrink("a lot", "20Gi") == nil || checkShrink("20Gi", "a lot") == nil {
		t.Error("a size that cannot be read is let through")
	}
}

// there is a cluster that has every claim.
func there(string) bool { return true }

func nowhere() int { return 0 }

// TestHooks_ReadWhatTheProgramRecords runs the hooks on the inputs of two runs of the real program, as the engine does.
func TestHooks_ReadWhatTheProgramRecords(t *testing.T) {
	t.Parallel()
	const component, claim = "ha-iris:iris:IRIS", "kubernetes:core/v1:PersistentVolumeClaim"
	inputs := func(cfg Config, class, typeToken, name string, preview bool) resource.PropertyMap {
		result := scenario{args: Args{Config: cfg, StorageClass: pulumi.String(class)}, preview: preview}.run(t)
		if result.err != nil {
			t.Fatal(result.err)
		}
		return result.One(t, typeToken, name).Inputs
	}
	small, large := community(), community(func(c *Config) { c.Size = "30Gi" })
	once := community(func(c *Config) { c.AccessMode = ReadWriteOnce })
	const class = "longhorn-iris"
	for name, test := range map[string]struct {
		hook     guard.Check
		old, new resource.PropertyMap
		want     []string
	}{
		"grow":   {refuseSmaller, inputs(small, class, claim, claims.First, false), inputs(large, class, claim, claims.First, true), nil},
		"shrink": {refuseSmaller, inputs(large, class, claim, claims.First, false), inputs(small, class, claim, claims.First, true), []string{"iris.size"}},
		"size on the component": {
			refuseOtherVolume(true, there, nowhere), inputs(large, class, component, "iris", false),
			inputs(small, class, component, "iris", false), nil,
		},
		"class": {
			refuseOtherVolume(true, there, nowhere), inputs(small, class, component, "iris", false),
			inputs(small, "other", component, "iris", true),
			[]string{"storage.className"},
		},
		"mode": {
			refuseOtherVolume(true, there, nowhere), inputs(small, class, component, "iris", false),
			inputs(once, class, component, "iris", true),
			[]string{"iris.accessMode"},
		},
		"class, given up": {
			refuseOtherVolume(false, there, nowhere), inputs(small, class, component, "iris", false),
			inputs(small, "other", component, "iris", true), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			expectRefusal(t, test.hook(guard.InputsOf(test.old), guard.InputsOf(test.new)), test.want)
		})
	}
}

// TestHooks_AreBound: in previews too, or the refusal would come when half of the update has happened.
func TestHooks_AreBound(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community())
	for typeToken, want := range map[string]string{
		"ha-iris:iris:IRIS": "iris-guard-volume", "kubernetes:core/v1:PersistentVolumeClaim": "iris-guard-size",
	} {
		hooks := result.Find(typeToken)[0].RegisterRPC.GetHooks()
		if got := hooks.GetBeforeUpdate(); len(got) != 1 || got[0] != want {
			t.Errorf("%s has hooks %v, want %s", typeToken, got, want)
		}
		// A delete hook would make every `pulumi destroy` fail that does not run the program.
		if len(hooks.GetBeforeDelete())+len(hooks.GetAfterDelete()) > 0 {
			t.Errorf("%s has delete hooks", typeToken)
		}
	}
}

// Labels come and go with backups. They are an update of the claim: nothing of its specification, and no option, is another one.
func TestClaim_GetsTheStoragesLabelsAndNothingElse(t *testing.T) {
	t.Parallel()
	of := func(labels map[string]string) testkit.Registration {
		result := scenario{args: Args{Config: community(), ClaimLabels: labels}}.run(t)
		if result.err != nil {
			t.Fatal(result.err)
		}
		return result.One(t, "kubernetes:core/v1:PersistentVolumeClaim", claims.First)
	}
	plain, labelled := of(nil), of(map[string]string{"storage.example.com/backup": "enabled"})
	before, after := testkit.Leaves(plain.Inputs), testkit.Leaves(labelled.Inputs)
	const added = ".metadata.labels.storage.example.com/backup"
	if after[added].Text != "enabled" {
		t.Errorf("the label is %q", after[added].Text)
	}
	delete(after, added)
	if !maps.Equal(before, after) {
		t.Errorf("more than labels differs: %v and %v", before, after)
	}
	if !plain.RegisterRPC.GetProtect() || !labelled.RegisterRPC.GetProtect() || len(labelled.RegisterRPC.GetReplaceOnChanges()) > 0 {
		t.Error("the claim's options differ")
	}
	for _, one := range []testkit.Registration{plain, labelled} {
		if len(one.Inputs["metadata"].ObjectValue()["labels"].ObjectValue()) < 4 {
			t.Error("the claim lacks the labels of every object")
		}
	}
}
