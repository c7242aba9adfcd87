package storage

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"ha-iris/internal/problems"
)

const (
	testBackup  = testTarget + "?backup=backup-1&volume=pvc-1"
	backupPath  = longhornPath + "backups/backup-1"
	wasSynced   = "2026-01-01T00:00:00Z"
	secondClass = "/apis/storage.k8s.io/v1/storageclasses/longhorn-iris-2"
)

// backupWorld is a target with a backup in it, whose status is changed.
func backupWorld(change ...map[string]any) map[string]any {
	status := map[string]any{"state": "Completed", "volumeName": "pvc-1", "volumeSize": "21474836480", "backupTargetName": "default"}
	for _, one := range change {
		maps.Copy(status, one)
	}
	world := targetWorld(testTarget, backupSecretName, true, wasSynced, "")
	world[backupPath] = map[string]any{"status": status}
	return world
}

func restoreOn(t *testing.T, world map[string]any) (*longhornRestore, *apiServer, *said) {
	t.Helper()
	k, api, lines := newKeeper(t, world)
	cfg := DefaultConfig()
	cfg.Backup.Target = testTarget
	return &longhornRestore{keeper: k, cfg: cfg, generations: Generations{Oldest: 1, Newest: 2, Backup: testBackup, Size: "20Gi"}}, api, lines
}

func TestRestore_RefusesWhatIsNoBackupsURL(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		testBackup: true,
		"s3://b0b@eu/?volume=pvc-1&backup=backup-1":                                               true,
		"azblob://backups@core.windows.net/iris/?backup=backup-1&volume=pvc-1":                    true,
		"nfs://nas:/backups?backup=backup-1&volume=pvc-1":                                         true,
		"nfs://nas:/backups?nfsOptions=soft&backup=backup-1&volume=pvc-1":                         true,
		"cifs://nas/share?backup=backup-1&volume=pvc-1":                                           true,
		"cifs://nas/share?cifsOptions=vers%3D3&backup=backup-1&volume=pvc-1":                      true,
		"cifs://nas/share?cifsOptions=username=user:pass&backup=backup-1&volume=pvc-1":            false,
		"cifs://nas/share?cifsOptions=vers=3,password=user:pass&backup=backup-1&volume=pvc-1":     false,
		"cifs://nas/share?cifsOptions=vers=3;password=user:pass&backup=backup-1&volume=pvc-1":     false,
		"cifs://nas/share?cifsOptions=vers=3%2CPassword%3Duser:pass&backup=backup-1&volume=pvc-1": false,
		testTarget:                                        false,
		testTarget + "?backup=backup-1":                   false,
		testTarget + "?backup=&volume=pvc-1":              false,
		testTarget + "?backup=../1&volume=pvc-1":          false,
		testTarget + "?backup=backup-1&volume=pvc-1&x=1":  false,
		"https://acme/?backup=backup-1&volume=pvc-1":      false,
		"s3://user:pass@eu/?backup=backup-1&volume=pvc-1": false,
		"s3:///iris/?backup=backup-1&volume=pvc-1":        false,
		"backup-1":       false,
		testBackup + " ": false,
		testTarget + strings.Repeat("x", maxText) + "/?backup=backup-1&volume=pvc-1": false,
	} {
		var found problems.List
		checkLonghornRestore("iris.restoreFrom.backup", text, &found)
		if err := found.Err(); (err == nil) != valid || err != nil && strings.Contains(err.Error(), "user:pass") {
			t.Errorf("%s: got %v", text, err)
		}
	}
	cfg := DefaultConfig()
	if err := cfg.CheckRestore("iris.restoreFrom.backup", ""); err != nil {
		t.Errorf("no backup: %v", err)
	}
	cfg.Install = false
	if err := cfg.CheckRestore("iris.restoreFrom.backup", testBackup); err == nil || !strings.Contains(err.Error(), "iris.restoreFrom.snapshot takes a VolumeSnapshot") {
		t.Errorf("with nothing installed: %v", err)
	}
}

// The size trap and the others are found in a preview.
func TestRestore_RefusesABackupThatCannotFillTheVolume(t *testing.T) {
	t.Parallel()
	gone := backupWorld()
	delete(gone, backupPath)
	other := backupWorld()
	maps.Copy(other, targetWorld("s3://other@eu/", "", true, wasSynced, ""))
	for name, test := range map[string]struct {
		world map[string]any
		size  string
		want  []string
	}{
		"good":             {backupWorld(), "20Gi", nil},
		"in another unit":  {backupWorld(), "20480Mi", nil},
		"another size":     {backupWorld(), "30Gi", []string{`iris.size: got "30Gi", want 20Gi, the size of the backup's volume: a restored one has exactly that. It can grow`}},
		"a grown volume":   {backupWorld(map[string]any{"volumeSize": "21476933632"}), "20Gi", []string{"want 20482Mi, "}},
		"no size":          {backupWorld(map[string]any{"volumeSize": ""}), "20Gi", []string{`iris.restoreFrom.backup: got backup-1, whose size "" is no number`}},
		"in progress":      {backupWorld(map[string]any{"state": "InProgress"}), "20Gi", []string{`iris.restoreFrom.backup: got backup-1, whose state is "InProgress", want one that is there and Completed: kubectl`}},
		"failed":           {backupWorld(map[string]any{"state": "Error", "error": "no space"}), "30Gi", []string{"got backup-1, which failed: no space, want one that is Completed"}},
		"gone":             {gone, "20Gi", []string{"got backup-1, which Longhorn does not find in the backup target, want one that is there"}},
		"another volume's": {backupWorld(map[string]any{"volumeName": "pvc-2"}), "30Gi", []string{"got backup-1 of volume pvc-1, want volume pvc-2, whose backup that is", "iris.size: "}},
		"another target's": {backupWorld(map[string]any{"backupTargetName": "second"}), "20Gi", []string{"got backup-1 in Longhorn's backup target second, want one in the stack's own"}},
	} {
		r, api, _ := restoreOn(t, test.world)
		r.keeper.preview, r.generations.Size = true, test.size
		err := r.Check(t.Context())
		if (err == nil) != (len(test.want) == 0) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
		if len(api.patched) > 0 || api.asked > 3 { // For the target, the backup and the class.
			t.Errorf("%s: a preview asked %d times and changed %v", name, api.asked, api.patched)
		}
	}
}

func TestRestore_RefusesABackupOfAnotherTarget(t *testing.T) {
	t.Parallel()
	const want = "iris.restoreFrom.backup: got a backup in s3://acme-backups@eu-west-1/iris, want one in the stack's own backup target"
	for name, test := range map[string]struct {
		configured, live string
		managed          bool
		values           map[string]any
		refused, warned  bool
	}{
		"the same":                 {configured: testTarget, live: testTarget},
		"mount options":            {configured: testTarget + "?x=y", live: testTarget},
		"another, configured":      {configured: "s3://other@eu/", live: testTarget, refused: true},
		"not taken yet":            {configured: testTarget, live: "s3://other@eu/", warned: true},
		"managed":                  {managed: true, live: testTarget},
		"managed, another":         {managed: true, live: "s3://other@eu/", refused: true},
		"managed, not taken yet":   {managed: true, live: "", warned: true},
		"none":                     {live: "", refused: true},
		"by hand":                  {live: testTarget},
		"by hand, another":         {live: "s3://other@eu/", refused: true},
		"by values, not there yet": {live: "", values: map[string]any{"defaultBackupStore": map[string]any{}}, warned: true},
	} {
		world := backupWorld()
		maps.Copy(world, targetWorld(test.live, "", true, wasSynced, ""))
		r, _, lines := restoreOn(t, world)
		r.keeper.preview = true
		r.cfg.Backup.Target, r.cfg.Backup.Managed, r.cfg.Values = test.configured, test.managed, test.values
		err := r.Check(t.Context())
		if (err != nil) != test.refused || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
		if warned := strings.Contains(lines.String(), "warn: The backup to restore, backup-1, could not be looked at yet"); warned != test.warned {
			t.Errorf("%s: said %q", name, lines)
		}
	}
}

// A clone's Longhorn has to read the target first, which it does by itself only every few minutes.
func TestRestore_WaitsUntilLonghornHasReadTheTarget(t *testing.T) {
	t.Parallel()
	empty := targetWorld(testTarget, backupSecretName, true, wasSynced, "")
	r, api, lines := restoreOn(t, empty)
	afterPatch(r.keeper, api, backupWorld())
	if err := r.Check(t.Context()); err != nil || api.patched[backupTargetPath] == "" {
		t.Errorf("got %v, asked Longhorn %q", err, api.patched)
	}
	if !strings.Contains(lines.String(), "info: Waiting for the backup to restore for 0 s: backup-1, which Longhorn does not find") {
		t.Errorf("said %s", lines)
	}
	for name, test := range map[string]struct {
		world map[string]any
		late  bool
		want  string
	}{
		"never there":   {empty, true, "got backup-1, which Longhorn does not find in the backup target, after 180 s, want one that is there"},
		"no Longhorn":   {map[string]any{}, true, "got Longhorn is not there yet, after 180 s"},
		"another size":  {backupWorld(map[string]any{"volumeSize": "32212254720"}), false, `iris.size: got "20Gi", want 30Gi`},
		"failed backup": {backupWorld(map[string]any{"state": "Error"}), false, "which failed"},
	} {
		r, _, _ := restoreOn(t, test.world)
		err := r.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || (r.keeper.now().Sub(testNow()) >= targetBudget) != test.late {
			t.Errorf("%s: got %v after %s", name, err, r.keeper.now().Sub(testNow()))
		}
	}
	r, _, _ = restoreOn(t, empty)
	r.keeper.sleep = func(context.Context, time.Duration) error { return context.Canceled }
	if err := r.Check(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRestore_WithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status  int
		preview bool
		fails   bool
	}{
		"forbidden":             {http.StatusForbidden, false, false},
		"out, in a preview":     {http.StatusServiceUnavailable, true, false},
		"out":                   {http.StatusServiceUnavailable, false, true},
		"forbidden, in preview": {http.StatusForbidden, true, false},
	} {
		r, api, lines := restoreOn(t, backupWorld())
		api.status, r.keeper.preview = test.status, test.preview
		if err := r.Check(t.Context()); (err != nil) != test.fails || !test.fails && !strings.Contains(lines.String(), "warn: The backup to restore could not be looked at") {
			t.Errorf("%s: got %v, said %s", name, err, lines)
		}
	}
	r, api, _ := restoreOn(t, nil)
	r.keeper.live = nil
	if err := r.Check(t.Context()); err != nil || api.asked > 0 {
		t.Errorf("no cluster: %v", err)
	}
	r.generations.Backup = ""
	if err := r.Check(t.Context()); err != nil {
		t.Errorf("no backup: %v", err)
	}
}

// An update that failed after the class leaves it behind, and it fills from what it was made for, with a snapshot too.
func TestRestore_RefusesAClassThatFillsFromSomethingElse(t *testing.T) {
	t.Parallel()
	const first = "/apis/storage.k8s.io/v1/storageclasses/longhorn-iris"
	back := ". Or set iris.generation to 1, take iris.restoreFrom out and pulumi up, which removes the class"
	for name, test := range map[string]struct {
		path    string
		newest  int
		made    string
		source  Generations
		preview bool
		want    string
	}{
		"the same":              {secondClass, 2, testBackup, Generations{Backup: testBackup}, false, ""},
		"another":               {secondClass, 2, testBackup + "0", Generations{Backup: testBackup}, false, "got backup " + testBackup + ", want backup " + testBackup + "0, from which the StorageClass longhorn-iris-2 fills its volume: an earlier update has made it" + back},
		"options are not shown": {secondClass, 2, "nfs://nas:/b?nfsOptions=soft&backup=backup-2&volume=pvc-1", Generations{Snapshot: "before"}, false, "want backup nfs://nas:/b?backup=backup-2&volume=pvc-1, from"},
		"none":                  {secondClass, 2, "", Generations{Backup: testBackup}, false, "got backup " + testBackup + ", want no backup, from"},
		"another, in a preview": {secondClass, 2, testBackup + "0", Generations{Backup: testBackup}, true, "got backup " + testBackup + ", want backup " + testBackup + "0"},
		"a clone's, in preview": {first, 1, testBackup + "0", Generations{Backup: testBackup}, true, ""}, // It is replaced before the claim is made.
		"a clone's":             {first, 1, testBackup, Generations{Backup: testBackup}, false, ""},
		"another clone's":       {first, 1, "", Generations{Backup: testBackup}, false, "want no backup, from which the StorageClass longhorn-iris fills"},
		"not there":             {first, 2, "", Generations{Backup: testBackup}, false, ""},
		"for a snapshot":        {secondClass, 2, testBackup, Generations{Snapshot: "before"}, false, "got snapshot before, want backup " + testBackup + ", from which"},
		"a snapshot's":          {secondClass, 2, "", Generations{Snapshot: "before"}, false, ""},
		"a clone's snapshot":    {first, 1, testBackup, Generations{Snapshot: "before"}, false, "got snapshot before, want backup"},
	} {
		world := backupWorld()
		world[test.path] = map[string]any{"parameters": map[string]any{fromBackup: test.made}}
		r, _, _ := restoreOn(t, world)
		test.source.Newest, test.source.Size = test.newest, "20Gi"
		r.generations, r.keeper.preview = test.source, test.preview
		err := r.Check(t.Context())
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), "iris.restoreFrom: ") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRestore_SaysHowFarAVolumeIs(t *testing.T) {
	t.Parallel()
	from := map[string]any{"fromBackup": testBackup}
	copied := map[string]any{"dataSource": "snap://pvc-1/before"}
	clone := func(state string) map[string]any {
		return map[string]any{"cloneStatus": map[string]any{"state": state}}
	}
	failure := []any{map[string]any{"type": "Restore", "status": "False", "reason": "RestoreFailure", "message": "All replica restore failed"}}
	for name, test := range map[string]struct {
		spec, status map[string]any
		done, lost   bool
		state        string
	}{
		"of nothing":             {spec: map[string]any{}, status: map[string]any{}, done: true},
		"not begun":              {spec: from, status: map[string]any{}, state: "Longhorn restores the backup into volume pvc-9"},
		"under way":              {spec: from, status: map[string]any{"restoreInitiated": true, "restoreRequired": true}, state: "restores the backup into volume pvc-9, 30 %"},
		"filled":                 {spec: from, status: map[string]any{"restoreInitiated": true, "restoreRequired": false}, done: true},
		"failed":                 {spec: from, status: map[string]any{"restoreInitiated": true, "restoreRequired": true, "conditions": failure}, lost: true, state: "could not restore the backup into volume pvc-9: All replica restore failed"},
		"of a snapshot, new":     {spec: copied, status: clone(""), state: "Longhorn copies the snapshot into volume pvc-9, 30 %"},
		"of a snapshot":          {spec: copied, status: clone("initiated"), state: "Longhorn copies the snapshot into volume pvc-9, 30 %"},
		"of a snapshot, there":   {spec: copied, status: clone("copy-completed-awaiting-healthy"), done: true},
		"of a snapshot, healthy": {spec: copied, status: clone("completed"), done: true},
	} {
		status := func(progress int) map[string]any { return map[string]any{"progress": progress} }
		r, _, _ := restoreOn(t, map[string]any{
			longhornPath + "volumes/pvc-9": map[string]any{"spec": test.spec, "status": test.status},
			longhornPath + "engines": items{[]any{
				map[string]any{"spec": map[string]any{"volumeName": "pvc-9"}, "status": map[string]any{"restoreStatus": map[string]any{
					"tcp://a": status(60), "tcp://b": status(30), "tcp://c": status(100),
				}}},
				map[string]any{"spec": map[string]any{"volumeName": "pvc-8"}, "status": map[string]any{"restoreStatus": map[string]any{"tcp://d": status(1)}}},
			}},
		})
		r.generations.Backup = "" // The next test's.
		found, err := r.Filled(t.Context(), provisioner, "pvc-9")
		if name == "not begun" {
			found.State = strings.TrimSuffix(found.State, ", 30 %")
		}
		if err != nil || found.Done != test.done || found.Hopeless != test.lost || !strings.Contains(found.State, test.state) {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
	r, api, _ := restoreOn(t, nil)
	if found, err := r.Filled(t.Context(), provisioner, "pvc-9"); err != nil || found.Done || !strings.Contains(found.State, "has not made the volume") {
		t.Errorf("no volume: %+v, %v", found, err)
	}
	api.status = http.StatusServiceUnavailable
	if _, err := r.Filled(t.Context(), provisioner, "pvc-9"); err == nil {
		t.Error("no answer is an answer")
	}
}

func TestRestore_SaysWhatBecomesOfACopyThatFailed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attempts int
		source   string
		lost     bool
		state    string
	}{
		"once":                  {1, "pvc-1", false, "could not copy the snapshot into volume pvc-9; the replica at tcp://a says: no room, and tries again while something uses the volume pvc-1"},
		"for the last time":     {10, "pvc-1", true, "says: no room; it has tried 10 times and does not try again"},
		"without its source":    {1, "pvc-7", true, "the volume pvc-7 that it is of is gone"},
		"before it has begun":   {0, "pvc-7", true, "the volume pvc-7 that it is of is gone"},
		"the last, of no other": {10, "pvc-7", true, "does not try again"},
	} {
		r, _, _ := restoreOn(t, map[string]any{
			longhornPath + "volumes/pvc-9": map[string]any{"spec": map[string]any{"dataSource": "snap://" + test.source + "/before"}, "status": map[string]any{
				"cloneStatus": map[string]any{"state": "failed", "attemptCount": test.attempts},
			}},
			longhornPath + "volumes/pvc-1": map[string]any{},
			longhornPath + "engines": items{[]any{map[string]any{"spec": map[string]any{"volumeName": "pvc-9"}, "status": map[string]any{
				"cloneStatus": map[string]any{"tcp://a": map[string]any{"progress": 10, "error": "no room"}},
			}}}},
		})
		r.generations.Backup = ""
		found, err := r.Filled(t.Context(), provisioner, "pvc-9")
		if err != nil || found.Done || found.Hopeless != test.lost || !strings.Contains(found.State, test.state) {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
}

// Taking the source out does not make an empty volume one that has data.
func TestRestore_RefusesAnEmptyVolumeWhoseSourceWasTakenOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		newest  int
		uid     string
		spec    map[string]any
		refused bool
	}{
		"made for its claim":   {2, "9", map[string]any{}, true},
		"freed for its claim":  {2, "10", map[string]any{}, false},
		"the first":            {1, "9", map[string]any{}, false},
		"from a backup":        {2, "9", map[string]any{"fromBackup": testBackup}, false},
		"from a snapshot":      {2, "9", map[string]any{"dataSource": "snap://pvc-1/s"}, false},
		"from a backing image": {2, "9", map[string]any{"backingImage": "bi-1"}, false},
	} {
		r, _, _ := restoreOn(t, map[string]any{
			longhornPath + "volumes/pvc-9": map[string]any{
				"spec": test.spec, "status": map[string]any{"restoreInitiated": true, "cloneStatus": map[string]any{"state": "completed"}},
			},
			"/api/v1/persistentvolumes/pvc-9": map[string]any{"spec": map[string]any{"claimRef": map[string]any{"uid": test.uid}}},
		})
		r.generations = Generations{Newest: test.newest}
		found, err := r.Filled(t.Context(), provisioner, "pvc-9")
		if err != nil || found.Hopeless != test.refused || found.Done == test.refused {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
}

func TestRestore_ComparesNoMountOptions(t *testing.T) {
	t.Parallel()
	r, _, _ := restoreOn(t, map[string]any{secondClass: map[string]any{"parameters": map[string]any{fromBackup: "nfs://nas:/b?nfsOptions=soft&backup=backup-1&volume=pvc-1"}}})
	r.generations.Backup = "nfs://nas:/b?backup=backup-1&volume=pvc-1"
	if err := r.checkClass(t.Context()); err != nil {
		t.Error(err)
	}
}

// What fills a volume is its class and its claim, which others may have made. A database is not moved to other data than the configured.
func TestRestore_RefusesAVolumeThatWasMadeFromSomethingElse(t *testing.T) {
	t.Parallel()
	backup, snapshot, none := Generations{Newest: 2, Backup: testBackup}, Generations{Newest: 2, Snapshot: "before"}, Generations{Newest: 2}
	restored := func(address string) map[string]any { return map[string]any{"fromBackup": address} }
	copied := func(source string) map[string]any { return map[string]any{"dataSource": source} }
	both := map[string]any{"fromBackup": testBackup, "dataSource": "snap://pvc-1/s"}
	const notThat = "the volume pvc-9 was not made from backup-1 of volume pvc-1, which iris.restoreFrom.backup has: it was made "
	for name, test := range map[string]struct {
		from   Generations
		driver string
		spec   map[string]any
		want   string
	}{
		"the backup":                   {backup, provisioner, restored(testBackup), ""},
		"with other mount options":     {backup, provisioner, restored("nfs://nas:/b?nfsOptions=soft&volume=pvc-1&backup=backup-1"), ""},
		"another backup":               {backup, provisioner, restored(testTarget + "?backup=backup-2&volume=pvc-1"), notThat + "from backup-2 of volume pvc-1"},
		"another volume's":             {backup, provisioner, restored(testTarget + "?backup=backup-1&volume=pvc-2"), notThat + "from backup-1 of volume pvc-2"},
		"empty":                        {backup, provisioner, map[string]any{}, notThat + "empty"},
		"a copy":                       {backup, provisioner, copied("snap://pvc-1/s"), notThat + "from snap://pvc-1/s"},
		"another driver's":             {backup, "other.example.com", nil, "the volume pvc-9 is of other.example.com, so it was not made from the backup"},
		"a snapshot":                   {snapshot, provisioner, copied("snap://pvc-1/s"), ""},
		"a snapshot of type bak":       {snapshot, provisioner, restored(testBackup), ""},
		"a snapshot of type bi":        {snapshot, provisioner, map[string]any{"backingImage": "bi-1"}, ""},
		"a snapshot of another driver": {snapshot, "other.example.com", nil, ""},
		"empty, not of the snapshot":   {snapshot, provisioner, map[string]any{}, "the volume pvc-9 was not made from the VolumeSnapshot before: it was made empty"},
		"another claim's copy":         {snapshot, provisioner, copied("vol://pvc-1"), "VolumeSnapshot before: it was made from vol://pvc-1"},
		"both":                         {snapshot, provisioner, both, "the volume pvc-9 is to have the data of a backup and of snap://pvc-1/s at once"},
		"both, of a backup":            {backup, provisioner, both, "at once"},
		"both, source taken out":       {none, provisioner, both, "at once"},
		"source taken out":             {none, provisioner, restored(testBackup), ""},
		"no source":                    {none, "other.example.com", nil, ""},
	} {
		r, _, _ := restoreOn(t, map[string]any{longhornPath + "volumes/pvc-9": map[string]any{
			"spec": test.spec, "status": map[string]any{"restoreInitiated": true, "cloneStatus": map[string]any{"state": "completed"}},
		}})
		r.generations = test.from
		found, err := r.Filled(t.Context(), test.driver, "pvc-9")
		if err != nil || found.Done != (test.want == "") || found.Hopeless != (test.want != "") || !strings.Contains(found.State, test.want) {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
}

func TestRestore_HasOldVolumesRebuiltWhileNothingUsesThem(t *testing.T) {
	t.Parallel()
	const path = longhornPath + "volumes/pvc-9"
	r, api, _ := restoreOn(t, map[string]any{path: map[string]any{}})
	if err := r.Retire(t.Context(), "other.example.com", "pvc-9"); err != nil || len(api.patched) > 0 {
		t.Errorf("another driver's: %v, %v", api.patched, err)
	}
	if err := r.Retire(t.Context(), provisioner, "pvc-9"); err != nil || api.patched[path] != `{"spec":{"offlineRebuilding":"enabled"}}` {
		t.Errorf("patched %v, %v", api.patched, err)
	}
	api.status = http.StatusForbidden
	const byHand = `kubectl -n longhorn-system patch volumes.longhorn.io pvc-9 --type merge --patch '{"spec":{"offlineRebuilding":"enabled"}}'`
	if err := r.Retire(t.Context(), provisioner, "pvc-9"); err == nil || !strings.Contains(err.Error(), byHand) {
		t.Errorf("got %v", err)
	}
}

// The volumes of later generations lie on classes of their own, and count as the stack's.
func TestReplicas_CountTheVolumesOfAllGenerations(t *testing.T) {
	t.Parallel()
	k := &keeper{class: "longhorn-iris"}
	for class, want := range map[string]bool{
		"longhorn-iris": true, "longhorn-iris-2": true, "longhorn-iris-12": true, "longhorn-iris-fast": false, "longhorn": false, "other-2": false, "": false,
	} {
		if got := k.isOwn(class); got != want {
			t.Errorf("%s: %t", class, got)
		}
	}
}
