package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/internal/live"
)

type object = map[string]any

// world is an API server with a database, its backups and a Longhorn that makes more.
type world struct {
	mu      sync.Mutex
	claim   string
	size    string
	backups []object
	// failing is what a new backup fails with, posted what was posted. scheduled: the stack makes backups for which IRIS is frozen.
	failing   string
	posted    []object
	scheduled bool
	// snapshots are those that are there, deleted the names of those that were deleted; clock is the cluster's.
	snapshots []object
	deleted   []string
	clock     time.Time
	// noted is the ConfigMap with what was verified; nil: there is none.
	noted object
}

const mib20 = 20 << 20

// made is a backup of a volume in a state, the minute being that of its snapshot.
func made(name, volume, state string, minute int, labels object) object {
	return object{
		"metadata": object{"name": name, "labels": object{"backup-volume": volume}},
		"spec":     object{"labels": labels},
		"status": object{
			"state": state, "snapshotCreatedAt": fmt.Sprintf("2026-11-01T10:%02d:00Z", minute), "size": "3145728",
			"volumeSize": fmt.Sprint(mib20), "volumeName": volume, "url": "s3://b@r/?backup=" + name + "&volume=" + volume,
		},
	}
}

func newWorld() *world {
	broken := made("broken", "pvc-1", "Error", 30, object{"RecurringJob": "iris-backup"})
	broken["status"].(object)["error"] = "AccessDenied"
	// The clocks of clusters differ from this machine's.
	return &world{claim: "iris-pvc", size: "20Mi", clock: time.Now().Add(-10 * time.Minute), backups: []object{
		made("older", "pvc-1", completed, 0, object{"RecurringJob": "iris-backup"}),
		broken,
		made("newer", "pvc-1", completed, 15, object{kindLabel: "consistent"}),
		made("other", "pvc-2", completed, 45, nil),
	}}
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Method == http.MethodPost {
		w.post(r)
	}
	answer := any(object{})
	if r.Method == http.MethodDelete {
		w.deleted = append(w.deleted, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	}
	switch path := strings.TrimPrefix(r.URL.Path, longhornPath); path {
	case "/apis/apps/v1/namespaces/iris/deployments/iris":
		answer = object{"metadata": object{"annotations": object{ownerMark: "12ab"}}, "spec": object{"template": object{"spec": object{"volumes": []any{
			object{"name": "merge"}, object{"persistentVolumeClaim": object{"claimName": w.claim}},
		}}}}}
	case "/api/v1/namespaces/iris/persistentvolumeclaims/" + w.claim:
		answer = object{"spec": object{"volumeName": "pvc-1", "resources": object{"requests": object{"storage": w.size}}}}
	case "backups":
		if r.Method == http.MethodGet {
			answer = object{"items": w.backups}
		}
	case "snapshots":
		if r.Method == http.MethodGet {
			answer = object{"items": w.snapshots}
		}
	case "/api/v1/namespaces/iris/configmaps/" + results:
		if w.noted == nil {
			out.WriteHeader(http.StatusNotFound)
			return
		}
		answer = w.noted
	case batchPath + "jobs":
		answer = object{"metadata": object{"creationTimestamp": w.clock.UTC().Format(time.RFC3339)}}
	case batchPath + "cronjobs/" + cronJob:
		if !w.scheduled {
			out.WriteHeader(http.StatusNotFound)
			return
		}
		answer = object{"metadata": object{"uid": "u"}, "spec": object{"jobTemplate": object{
			"metadata": object{"labels": object{"a": "b"}}, "spec": object{"backoffLimit": 2},
		}}}
	default:
		if strings.HasPrefix(path, batchPath+"jobs/") {
			answer = w.job()
			break
		}
		kind, name, _ := strings.Cut(path, "/")
		found := w.find(kind, name)
		if found == nil {
			out.WriteHeader(http.StatusNotFound)
			return
		}
		answer = found
	}
	_ = json.NewEncoder(out).Encode(answer)
}

const batchPath = "/apis/batch/v1/namespaces/iris/"

// job is over at once.
func (w *world) job() object {
	condition := object{"type": "Complete", "status": "True"}
	if w.failing != "" {
		condition = object{"type": "Failed", "status": "True", "message": w.failing}
	}
	return object{"status": object{"conditions": []any{object{"type": "Suspended", "status": "False"}, condition}}}
}

// post takes a snapshot or a backup, and is done with it at once.
func (w *world) post(r *http.Request) {
	var posted object
	_ = json.NewDecoder(r.Body).Decode(&posted)
	w.posted = append(w.posted, posted)
	if posted["kind"] == "Job" && w.failing == "" {
		one := made("nightly", "pvc-1", completed, 50, object{kindLabel: consistent})
		one["status"].(object)["snapshotCreatedAt"] = w.clock.Add(3 * time.Second).UTC().Format(time.RFC3339)
		w.backups = append(w.backups, one)
	}
	if posted["kind"] != "Backup" {
		return
	}
	name := posted["metadata"].(object)["name"].(string)
	stored := made(name, "pvc-1", completed, 50, posted["spec"].(object)["labels"].(object))
	if w.failing != "" {
		stored["status"] = object{"state": "Error", "error": w.failing}
	}
	w.backups = append(w.backups, stored)
}

func (w *world) find(kind, name string) any {
	if kind == "snapshots" && len(w.posted) > 0 {
		return object{"status": object{"readyToUse": true, "creationTime": "2026-11-01T10:50:00Z"}}
	}
	for _, one := range w.backups {
		if kind == "backups" && one["metadata"].(object)["name"] == name {
			return one
		}
	}
	return nil
}

func (w *world) kubeconfig(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u", "user": {"token": "hunter2"}}]}`, server.URL)
}

// runs is a call of the command.
func (w *world) runs(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append(args, "-"), strings.NewReader(w.kubeconfig(t)), &stdout, &stderr)
	if strings.Contains(stdout.String()+stderr.String(), "hunter2") {
		t.Error("the kubeconfig's token is in the output")
	}
	return code, stdout.String(), stderr.String()
}

func connected(t *testing.T, w *world) *live.Cluster {
	t.Helper()
	cluster := &live.Cluster{}
	cluster.Connect(w.kubeconfig(t))
	return cluster
}

func TestList_ShowsTheDatabasesBackupsTheNewestFirst(t *testing.T) {
	t.Parallel()
	const want = `WHEN (UTC)           KIND        SIZE   STATE                VERIFIED  NAME
2026-11-01 10:30:00  scheduled   3 MiB  Error: AccessDenied  -         broken
2026-11-01 10:15:00  consistent  3 MiB  Completed            -         newer
2026-11-01 10:00:00  scheduled   3 MiB  Completed            -         older
`
	code, out, said := newWorld().runs(t, "list")
	if code != exitDone || out != want {
		t.Errorf("exit code %d, %s\n%s\nwant\n%s", code, said, out, want)
	}
	if _, out, _ := newWorld().runs(t, "list", "--all"); !strings.Contains(out, "other   pvc-2") || !strings.Contains(out, "by hand") {
		t.Errorf("all: %s", out)
	}
	_, out, _ = newWorld().runs(t, "--json", "list")
	var read struct{ Backups []entry }
	if err := json.Unmarshal([]byte(out), &read); err != nil || len(read.Backups) != 3 || read.Backups[1].Name != "newer" || read.Backups[1].VolumeBytes != mib20 {
		t.Errorf("%v: %s", err, out)
	}
	if _, out, _ := (&world{claim: "iris-pvc"}).runs(t, "list"); !strings.Contains(out, "There are no backups") {
		t.Errorf("none: %s", out)
	}
}

// What was found of a backup is a column, and why one is not good a line of its own. Somebody else's ConfigMap of the name says nothing.
func TestList_ShowsWhatWasVerified(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.noted = object{"metadata": object{"labels": object{verifyLabel: verifyOfKind, ownerMark: "12ab"}}, "data": object{
		"newer":  `{"verdict":"good","at":"2026-11-01T11:00:00Z","message":"restored"}`,
		"older":  `{"verdict":"bad","at":"2026-11-01T10:05:00Z","message":"the integrity check has found errors"}`,
		"broken": `{"verdict":"unclear","at":"2026-11-01T10:35:00Z","message":"no room"}`, "gone": `{"verdict":"good"}`,
	}}
	_, out, said := w.runs(t, "list")
	for _, want := range []string{
		"Completed            yes       newer\n", "Completed            NO        older\n", "AccessDenied  unclear   broken\n",
		"older, verified at 2026-11-01 10:05:00: the integrity check has found errors\n", "broken, verified at 2026-11-01 10:35:00: no room\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s%s", want, out, said)
		}
	}
	_, out, _ = w.runs(t, "list", "--json")
	var read struct{ Backups []entry }
	if err := json.Unmarshal([]byte(out), &read); err != nil || read.Backups[1].Verified == nil || read.Backups[1].Verified.Verdict != verdictGood {
		t.Errorf("%v: %s", err, out)
	}
	w.noted["data"] = object{"newer": `{"verdict":"good","at":"2026-11-01T11:00:00Z","message":"restored","unmarked":"the database does not run"}`}
	if _, out, _ := w.runs(t, "list"); !strings.Contains(out, "yes, no row  newer\n") {
		t.Errorf("without a row: %s", out)
	}
	w.noted["metadata"] = object{"labels": object{verifyLabel: verifyOfKind, ownerMark: "34cd"}}
	if code, out, said := w.runs(t, "list"); code != exitDone || strings.Contains(out, "yes") || !strings.Contains(said, "is of another stack") {
		t.Errorf("another stack's: exit code %d: %s%s", code, out, said)
	}
	w.noted["metadata"] = object{}
	if _, out, _ := w.runs(t, "list"); strings.Contains(out, "yes") {
		t.Errorf("somebody else's: %s", out)
	}
	w.noted = object{"metadata": "none"}
	if code, out, said := w.runs(t, "list"); code != exitDone || !strings.Contains(out, "newer") || !strings.Contains(said, "is not known") {
		t.Errorf("unreadable: exit code %d: %s%s", code, out, said)
	}
}

// Retention deletes backups, and what was found last is worth knowing still.
func TestList_SaysWhatWasVerifiedLastAlsoOfABackupThatIsGone(t *testing.T) {
	t.Parallel()
	const say = "The last verification was of gone, which is not listed, at 2026-11-01 12:00:00: NO: it lacks a row\n"
	w := newWorld()
	w.noted = object{"metadata": object{"labels": object{verifyLabel: verifyOfKind, ownerMark: "12ab"}}, "data": object{
		"newer": `{"verdict":"good","at":"2026-11-01T11:00:00Z","message":"restored"}`,
		"gone":  `{"verdict":"bad","at":"2026-11-01T12:00:00Z","message":"it lacks a row"}`,
	}}
	if _, out, said := w.runs(t, "list"); !strings.HasSuffix(out, say) {
		t.Errorf("got\n%s%s", out, said)
	}
	_, out, _ := w.runs(t, "list", "--json")
	var read struct{ LastVerified *lastVerified }
	if err := json.Unmarshal([]byte(out), &read); err != nil || read.LastVerified == nil || read.LastVerified.Name != "gone" || read.LastVerified.Verdict != verdictBad {
		t.Errorf("%v: %s", err, out)
	}
	w.backups = nil
	if _, out, _ := w.runs(t, "list"); !strings.HasSuffix(out, say) {
		t.Errorf("without backups: %s", out)
	}
	delete(w.noted["data"].(object), "gone")
	w.backups = newWorld().backups
	if _, out, _ := w.runs(t, "list"); strings.Contains(out, "The last verification") {
		t.Errorf("of one that is listed: %s", out)
	}
}

// What somebody has asked for is told from what the schedules make, and what IRIS was frozen for from what it was not.
func TestList_TellsThoseByHand(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.backups = []object{
		made("frozen", "pvc-1", completed, 1, object{kindLabel: consistent, byHandLabel: "true"}), made("crash", "pvc-1", completed, 2, object{kindLabel: onDemand}),
		made("nightly", "pvc-1", completed, 3, object{kindLabel: consistent}), made("ui", "pvc-1", completed, 4, nil),
		made("quarterly", "pvc-1", completed, 5, object{jobLabel: "iris-backup"}),
	}
	_, out, _ := w.runs(t, "list")
	var kinds []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		kind, _, _ := strings.Cut(line[len("2026-11-01 10:05:00  "):], "  ")
		kinds = append(kinds, kind)
	}
	if got, want := strings.Join(kinds, ", "), "scheduled, by hand, consistent, on-demand, consistent by hand"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	_, out, _ = w.runs(t, "list", "--json")
	var read struct{ Backups []entry }
	if err := json.Unmarshal([]byte(out), &read); err != nil {
		t.Fatal(err)
	}
	for _, one := range read.Backups {
		if one.ByHand != (one.Name != "nightly" && one.Name != "quarterly") {
			t.Errorf("%s: by hand: %v", one.Name, one.ByHand)
		}
	}
}

func TestPlan_PrintsWhatRestoresABackup(t *testing.T) {
	t.Parallel()
	second, grown := newWorld(), newWorld()
	second.claim, grown.size = "iris-pvc-2", "1Gi"
	foreign, evil := newWorld(), newWorld()
	foreign.claim = "data"
	evil.backups[2]["status"].(object)["url"] = "s3://b@r/'; rm -rf ~; '"
	for name, test := range map[string]struct {
		world *world
		args  []string
		code  int
		want  []string
	}{
		"the newest that can be used": {newWorld(), nil, exitDone, []string{
			"# Restores newer, the state of 2026-11-01 10:15:00 UTC",
			"\npulumi config set --path iris.generation 2\npulumi config set --path iris.restoreFrom.backup 's3://b@r/?backup=newer&volume=pvc-1'\npulumi preview",
		}},
		"a name":               {second, []string{"--from", "older"}, exitDone, []string{"iris.generation 3\n", "backup=older&"}},
		"another volume's URL": {newWorld(), []string{"--from", "s3://b@r/?backup=other&volume=pvc-2"}, exitDone, []string{"backup=other&"}},
		"another size":         {grown, nil, exitDone, []string{"\npulumi config set --path iris.size 20Mi\n"}},
		"JSON":                 {newWorld(), []string{"--json"}, exitDone, []string{`"commands":["pulumi config set --path iris.generation 2"`}},
		"one that failed":      {newWorld(), []string{"--from", "broken"}, exitFailed, []string{"broken is Error, not Completed AccessDenied"}},
		"none of that name":    {newWorld(), []string{"--from", "x"}, exitFailed, []string{"no backup is called x"}},
		"none at all":          {&world{claim: "iris-pvc"}, nil, exitFailed, []string{"no backup of volume pvc-1 can be used: there are 0"}},
		"somebody else's PVC":  {foreign, nil, exitUnknown, []string{"PVC data, which is none of ha-iris"}},
		"a URL with a quote":   {evil, nil, exitUnknown, []string{"which is none of Longhorn's"}},
		"another namespace":    {newWorld(), []string{"--namespace", "web"}, exitUnknown, []string{"namespace web has no Deployment iris"}},
	} {
		code, out, said := test.world.runs(t, append([]string{"plan"}, test.args...)...)
		for _, want := range test.want {
			if code != test.code || !strings.Contains(out+said, want) {
				t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", name, code, test.code, want, out, said)
			}
		}
	}
}

func TestNow_MakesABackupAndWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	code, out, said := w.runs(t, "now")
	if code != exitDone || !strings.Contains(out, "(on-demand) of 2026-11-01T10:50:00Z is complete") || !strings.Contains(said, "IRIS is not frozen") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	if len(w.posted) != 2 || w.posted[0]["kind"] != "Snapshot" || w.posted[0]["spec"].(object)["volume"] != "pvc-1" {
		t.Fatalf("posted %v", w.posted)
	}
	name := w.posted[0]["metadata"].(object)["name"]
	spec := w.posted[1]["spec"].(object)
	if spec["snapshotName"] != name || spec["labels"].(object)[kindLabel] != onDemand {
		t.Errorf("posted %v", w.posted[1])
	}
	if _, out, _ := w.runs(t, "list"); !strings.Contains(out, onDemand) {
		t.Errorf("listed as %s", out)
	}
	w = newWorld()
	w.failing = "AccessDenied"
	if code, out, said := w.runs(t, "now"); code != exitFailed || !strings.Contains(said, "AccessDenied") || out != "" {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
}

func TestNow_ForgetsTheSnapshotsOfItsEarlierRunsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	snapshot := func(name, volume, kind string) object {
		return object{"metadata": object{"name": name, "uid": "u", "labels": object{kindLabel: kind}}, "spec": object{"volume": volume}}
	}
	w.snapshots = []object{
		snapshot("before", "pvc-1", onDemand), snapshot("other", "pvc-2", onDemand), snapshot("nightly", "pvc-1", consistent), snapshot("user", "pvc-1", ""),
	}
	if code, _, said := w.runs(t, "now"); code != exitDone || strings.Join(w.deleted, " ") != "before" {
		t.Errorf("exit code %d, deleted %v: %s", code, w.deleted, said)
	}
	snapshots := w.snapshots
	w = newWorld()
	w.snapshots, w.failing = snapshots, "AccessDenied"
	if code, _, _ := w.runs(t, "now"); code != exitFailed || len(w.deleted) > 0 {
		t.Errorf("after a backup that failed: exit code %d, deleted %v", code, w.deleted)
	}
}

func TestNow_FreezesIRISWhereTheStackDoes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.scheduled = true
	if code, out, said := w.runs(t, "now"); code != exitDone || !strings.Contains(out, "Backup nightly (consistent)") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	if len(w.posted) != 1 || w.posted[0]["kind"] != "Job" || w.posted[0]["spec"].(object)["backoffLimit"] != 2.0 {
		t.Errorf("posted %v", w.posted)
	}
	w.backups = w.backups[:4] // An older one only, by the cluster's clock.
	w.backups[2]["status"].(object)["snapshotCreatedAt"] = w.clock.Add(-time.Minute).UTC().Format(time.RFC3339)
	if _, err := (&database{cluster: connected(t, w)}).newest(t.Context(), volume{name: "pvc-1"}, w.clock); err == nil {
		t.Error("an older backup is taken for the one just made")
	}
	w.failing = "BackoffLimitExceeded"
	if code, _, said := w.runs(t, "now"); code != exitFailed || !strings.Contains(said, "BackoffLimitExceeded") || !strings.Contains(said, "logs job/") {
		t.Errorf("exit code %d: %s", code, said)
	}
	w = newWorld()
	w.scheduled = true
	if code, out, said := w.runs(t, "now", "--crash"); code != exitDone || !strings.Contains(out, "(on-demand)") || strings.Contains(said, "not frozen") {
		t.Errorf("--crash: exit code %d: %s%s", code, out, said)
	}
}

func TestRun_SaysWhatIsWrongWithItsArguments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":            {[]string{"--help"}, exitDone, "Usage: go run ./ops/backup list"},
		"nothing":         {nil, exitUnknown, "got 1 words"},
		"no such command": {[]string{"restore"}, exitUnknown, `there is no command "restore"`},
		"--from":          {[]string{"list", "--from", "x"}, exitUnknown, "--from belongs to plan"},
		"--all":           {[]string{"now", "--all"}, exitUnknown, "--all belongs to list"},
		"--crash":         {[]string{"plan", "--crash"}, exitUnknown, "--crash belongs to now"},
		"--timeout":       {[]string{"now", "--timeout", "-1s"}, exitUnknown, "want more than 0"},
		"no option":       {[]string{"list", "--what"}, exitUnknown, "-what"},
	} {
		if code, out, said := newWorld().runs(t, test.args...); code != test.code || !strings.Contains(out+said, test.want) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, said)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"list", "-"}, strings.NewReader(""), &stdout, &stderr); code != exitUnknown || !strings.Contains(stderr.String(), "the kubeconfig is empty") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
