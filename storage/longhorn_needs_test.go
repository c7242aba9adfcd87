package storage_test

import (
	"reflect"
	"strings"
	"testing"

	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
	"ha-iris/storage"
)

func TestNeeds_FollowTheValues(t *testing.T) {
	t.Parallel()
	settings := func(key string, value any) map[string]any {
		return map[string]any{"defaultSettings": map[string]any{key: value}}
	}
	plain := storage.DefaultConfig().Needs(traits.Storage{})
	if !plain.Install || plain.ClassName != storage.DefaultClassName || plain.Driver != "Longhorn" || plain.Replicas != 3 ||
		plain.Namespace != "longhorn-system" || len(plain.Objects) == 0 || len(plain.ClusterObjects) == 0 {
		t.Errorf("got %+v", plain)
	}
	with := func(change func(*survey.Storage)) survey.Storage {
		changed := plain
		change(&changed)
		return changed
	}
	tainted := with(func(s *survey.Storage) { s.TaintedNodes = true })
	fewer := with(func(s *survey.Storage) { s.FewerNodes = true })
	labelled := with(func(s *survey.Storage) {
		s.NodeLabel, s.NodeLabelValues = "node.longhorn.io/create-default-disk", []string{"true", "config"}
	})
	tolerations := map[string]any{"tolerations": []any{map[string]any{"operator": "Exists"}}}
	for name, test := range map[string]struct {
		values map[string]any
		traits traits.Storage
		want   survey.Storage
	}{
		"nothing":              {nil, traits.Storage{}, plain},
		"labelled disks":       {nil, dedicated(), labelled},
		"labelled by value":    {settings("createDefaultDiskLabeledNodes", "true"), traits.Storage{}, labelled},
		"labels not asked for": {settings("createDefaultDiskLabeledNodes", false), dedicated(), plain},
		"replicas together":    {settings("replicaSoftAntiAffinity", "true"), traits.Storage{}, fewer},
		"replicas apart":       {settings("replicaSoftAntiAffinity", "false"), traits.Storage{}, plain},
		"fewer replicas":       {settings("allowVolumeCreationWithDegradedAvailability", true), traits.Storage{}, fewer},
		"taints":               {settings("taintToleration", "dedicated=db:NoSchedule"), traits.Storage{}, tainted},
		"manager's taints":     {map[string]any{"longhornManager": tolerations}, traits.Storage{}, tainted},
		"everybody's taints":   {map[string]any{"global": tolerations}, traits.Storage{}, tainted},
		"no object":            {map[string]any{"global": "x"}, traits.Storage{}, plain},
	} {
		cfg := storage.DefaultConfig()
		cfg.Values = test.values
		if got := cfg.Needs(test.traits); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
	snapshots := storage.DefaultConfig()
	snapshots.SnapshotClasses = true
	if got, want := snapshots.Needs(traits.Storage{}), with(func(s *survey.Storage) { s.SnapshotClasses = true }); !reflect.DeepEqual(got, want) {
		t.Errorf("with snapshots: got %+v", got)
	}
	backedUp := storage.DefaultConfig()
	backedUp.Backup.Target = "nfs://nas.example.com:/backups"
	withBackups := with(func(s *survey.Storage) {
		s.Applied, s.Changed = []string{"secrets", "recurringjobs.longhorn.io"}, []string{"backuptargets.longhorn.io"}
	})
	if got := backedUp.Needs(traits.Storage{}); !reflect.DeepEqual(got, withBackups) {
		t.Errorf("with backups: got %+v", got)
	}
	own := storage.DefaultConfig()
	own.Install, own.ClassName = false, "fast"
	if got := own.Needs(traits.Storage{}); !reflect.DeepEqual(got, survey.Storage{ClassName: "fast"}) {
		t.Errorf("got %+v", got)
	}
}

// They are what the requests in longhorn_restore_check.go and longhorn_restore_fill.go take; other storage fills nothing.
func TestRestoreAsks_FollowTheGenerations(t *testing.T) {
	t.Parallel()
	const fill, source, old = "get volumes.longhorn.io, list engines.longhorn.io", "get backups.longhorn.io, get backuptargets.longhorn.io", "patch volumes.longhorn.io"
	for want, of := range map[string]storage.Generations{
		"":                                {Oldest: 1, Newest: 1},
		fill + ", " + source:              {Oldest: 1, Newest: 1, Backup: "s3://b@r/?backup=x&volume=y"},
		fill + ", " + source + ", " + old: {Oldest: 1, Newest: 2, Backup: "s3://b@r/?backup=x&volume=y"},
		fill + ", " + old:                 {Newest: 2, Snapshot: "s"},
		old:                               {Oldest: 2, Newest: 3},
		fill:                              {Oldest: 3, Newest: 3, Snapshot: "s"},
	} {
		var got []string
		for _, one := range storage.DefaultConfig().RestoreAsks(of) {
			got = append(got, strings.TrimSuffix(one.String(), " in longhorn-system"))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%+v: got %q, want %s", of, got, want)
		}
	}
	own := storage.DefaultConfig()
	own.Install = false
	if got := own.RestoreAsks(storage.Generations{Newest: 2, Snapshot: "s"}); len(got) > 0 {
		t.Errorf("other storage asks for %v", got)
	}
}
