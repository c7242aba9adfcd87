package iris

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

const (
	oldImage, newImage = "registry.example.com/iris:2026.1.0.234.1", "registry.example.com/iris:2026.2.0.221.0"

	deploymentPath = "/apis/apps/v1/namespaces/iris/deployments/iris"
	podsPath       = "/api/v1/namespaces/iris/pods?labelSelector=app%3Diris"
	targetPath     = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/backuptargets/default"
	jobsPath       = "/apis/batch/v1/namespaces/iris/jobs"
	schedulePath   = "/apis/batch/v1/namespaces/iris/cronjobs/iris-backup-consistent"
	runningJobs    = jobsPath + "?labelSelector=ha-iris%2Fbefore-image%3D"
	templatesPath  = "/apis/apps/v1/namespaces/iris/replicasets?labelSelector=app%3Diris"
	madePath       = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/backups?labelSelector=ha-iris%2Fbackup%3Dconsistent%2Cha-iris%2Fnamespace%3Diris"
	startedName    = "iris-backup-before-upgrade-20261127-120000"
	startedPods    = "/api/v1/namespaces/iris/pods?labelSelector=batch.kubernetes.io%2Fjob-name%3D" + startedName

	readyPods    = `{"items":[{"metadata":{"name":"iris-1"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}]}`
	available    = `{"status":{"available":true}}`
	unavailable  = `{"status":{"available":false,"conditions":[{"type":"Unavailable","status":"True","message":"mount -o password=hunter2: refused"}]}}`
	scheduleJSON = `{"metadata":{"uid":"u-1"},"spec":{"jobTemplate":{"metadata":{"labels":{"app.kubernetes.io/component":"backup"}},
		"spec":{"backoffLimit":2,"template":{"spec":{"restartPolicy":"Never"}}}}}}`
	createdAt = `"creationTimestamp":"2026-11-27T12:00:00Z"`
)

// runs is a Deployment with an image that was ready once, or never.
func runs(image, replicas, reason string) string {
	return `{"metadata":{"generation":2},"spec":{"replicas":` + replicas + `,"template":{"spec":{"containers":[{"name":"fence","image":"a"},{"name":"iris","image":"` +
		image + `"}]}}},"status":{"observedGeneration":2,"conditions":[{"type":"Progressing","status":"True","reason":"` + reason + `"}]}}`
}

// replicaSet is a ReplicaSet of the Deployment, with the revisions that it has had before.
func replicaSet(revision, image, earlier string) string {
	return `{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"` + revision + `","deployment.kubernetes.io/revision-history":"` + earlier +
		`"}},"spec":{"template":{"spec":{"containers":[{"name":"iris","image":"` + image + `"}]}}}}`
}

func templatesOf(all ...string) string { return `{"items":[` + strings.Join(all, ",") + `]}` }

// upgraded is a cluster whose database runs, with a backup target.
type upgraded struct {
	objects
	// created are the objects that were posted, and then is what happens with the first.
	created []map[string]any
	then    func()
}

func (u *upgraded) Create(_ context.Context, path string, object, into any) error {
	if path != jobsPath {
		return errors.New("posted to " + path)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var made map[string]any
	if err := json.Unmarshal(text, &made); err != nil {
		return err
	}
	u.created = append(u.created, made)
	if u.then != nil {
		u.then()
	}
	return json.Unmarshal([]byte(`{"metadata":{"name":"`+startedName+`",`+createdAt+`}}`), into)
}

// running is one whose job completes at once, with a backup.
func running() *upgraded {
	api := &upgraded{objects: objects{there: map[string]string{
		deploymentPath: runs(oldImage, "1", "NewReplicaSetAvailable"), podsPath: readyPods, targetPath: available,
		schedulePath: scheduleJSON,
		madePath:     `{"items":[{"metadata":{"name":"nightly","creationTimestamp":"2026-11-27T02:30:00Z"},"status":{"state":"Completed"}}]}`,
	}}}
	api.then = func() {
		api.there[jobsPath+"/"+startedName] = `{"status":{"conditions":[{"type":"Complete","status":"True"}]}}`
		api.there[madePath] = `{"items":[{"metadata":{"name":"nightly","creationTimestamp":"2026-11-27T02:30:00Z"},"status":{"state":"Completed"}},
			{"metadata":{"name":"before",` + createdAt + `},"status":{"state":"Completed"}}]}`
	}
	return api
}

// guarding has a clock that only its pauses move.
func guarding(api Cluster) (u *upgrade, said *[]string, waited func() time.Duration) {
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	now, lines := start, []string{}
	say := func(text string) { lines = append(lines, text) }
	u = &upgrade{
		api: api, namespace: "iris", selector: "app=iris", longhorn: "longhorn-system", log: say, warn: say, budget: time.Hour,
		filled: func(context.Context) error { return errors.New("it is not filled") },
		now:    func() time.Time { return now },
		pause:  func(ctx context.Context, length time.Duration) error { now = now.Add(length); return ctx.Err() },
	}
	return u, &lines, func() time.Duration { return now.Sub(start) }
}

// deployed are a Deployment's inputs.
func deployed(image, claim string) guard.Inputs {
	return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "iris", "image": image}},
		"volumes":    []any{map[string]any{"persistentVolumeClaim": map[string]any{"claimName": claim}}},
	}}}}))
}

func TestUpgrade_IsBackedUpFirst(t *testing.T) {
	t.Parallel()
	api := running()
	u, said, _ := guarding(api)
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "iris-pvc"), deployed(newImage, "iris-pvc")); err != nil {
		t.Fatal(err)
	}
	if len(api.created) != 1 || len(*said) == 0 || !strings.Contains((*said)[len(*said)-1], "backup before is complete") {
		t.Fatalf("created %v, said %q", api.created, *said)
	}
	job, _ := json.Marshal(api.created[0])
	for _, want := range []string{
		`"name":"` + startedName + `"`, `"backoffLimit":0`, `"restartPolicy":"Never"`, `"app.kubernetes.io/component":"backup"`,
		`"ha-iris/before-image":"` + checksum(newImage) + `"`, `"uid":"u-1"`,
	} {
		if !strings.Contains(string(job), want) {
			t.Errorf("the job lacks %s: %s", want, job)
		}
	}
	if strings.HasPrefix(startedName, backupName+"-") {
		t.Error("the agent takes the job for one of the schedule, whose backups are pruned")
	}
}

// Nothing is made where there is nothing to save, and the image changes.
func TestUpgrade_MakesNoBackupWhereThereIsNothingToSave(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for name, test := range map[string]struct {
		before, after guard.Inputs
		there         map[string]string
		without, said string
	}{
		"the same image":            {before: deployed(oldImage, "c"), after: deployed(oldImage, "c")},
		"the same by its digest":    {before: deployed("a/b:1"+digest, "c"), after: deployed("mirror.example.com/b:2"+digest, "c")},
		"an image not known yet":    {before: deployed(oldImage, "c"), after: guard.InputsOf(nil)},
		"another volume":            {after: deployed(newImage, "d"), said: "together with the volume"},
		"no Deployment":             {there: map[string]string{deploymentPath: ""}},
		"an update that was killed": {there: map[string]string{deploymentPath: runs(newImage, "1", "NewReplicaSetAvailable")}},
		"scaled to 0":               {there: map[string]string{deploymentPath: runs(oldImage, "0", "NewReplicaSetAvailable")}, said: "scaled to 0"},
		"never ready": {
			there: map[string]string{deploymentPath: runs(oldImage, "1", "ProgressDeadlineExceeded"), podsPath: crashing}, said: "has not become ready since",
		},
		"never ready with its image": {
			there: map[string]string{
				deploymentPath: runs(oldImage, "1", "ReplicaSetUpdated"), podsPath: crashing,
				templatesPath: templatesOf(replicaSet("4", "a/b:1", ""), replicaSet("5", oldImage, "")),
			}, said: "has not become ready since",
		},
		"no target": {without: "storage.backup has no target", said: "storage.backup has no target"},
	} {
		api := running()
		maps.Copy(api.there, test.there)
		if test.there[deploymentPath] == "" && len(test.there) > 0 {
			delete(api.there, deploymentPath)
		}
		u, said, _ := guarding(api)
		u.without = test.without
		if test.after.None() && name != "an image not known yet" {
			test.after = deployed(newImage, "c")
		}
		if test.before.None() {
			test.before = deployed(oldImage, "c")
		}
		if err := u.beforeUpdate(t.Context(), test.before, test.after); err != nil || len(api.created) > 0 {
			t.Errorf("%s: got %v, created %v", name, err, api.created)
		}
		if all := strings.Join(*said, "\n"); (test.said == "") != (all == "") || !strings.Contains(all, test.said) {
			t.Errorf("%s: said %q", name, all)
		}
	}
}

// IRIS does not upgrade data that were not stopped in order. A preview says so, because the database may be ready by the time of the update.
func TestUpgrade_IsRefusedWhileTheDatabaseIsDown(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		api := running()
		api.there[podsPath] = crashing
		u, said, _ := guarding(api)
		u.preview = preview
		u.without = "no target" // It is the vendor's rule, backups or not.
		err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c"))
		text := strings.Join(*said, "\n")
		if err != nil {
			text = err.Error()
		}
		if (err == nil) != preview || len(api.created) > 0 {
			t.Errorf("preview %v: %v", preview, err)
		}
		for _, want := range []string{"iris.image: got " + newImage + ", want " + oldImage, "stops it in order", "scale deployment iris --replicas=0"} {
			if !strings.Contains(text, want) {
				t.Errorf("preview %v: %q is not in %s", preview, want, text)
			}
		}
	}
}

// What is not ready after a change that was none of the image recovers, with the present image.
func TestUpgrade_IsRefusedWhileTheDatabaseRecovers(t *testing.T) {
	t.Parallel()
	const unseen = `{"metadata":{"generation":3},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"iris","image":"` + oldImage +
		`"}]}}},"status":{"observedGeneration":2}}`
	for name, test := range map[string]struct{ deployment, templates string }{
		"another setting":          {templates: templatesOf(replicaSet("4", oldImage, ""), replicaSet("5", oldImage, ""))},
		"older templates are gone": {templates: templatesOf(replicaSet("5", oldImage, ""))},
		"the image of before again, as the vendor wants it": {
			templates: templatesOf(replicaSet("5", oldImage, "3"), replicaSet("4", newImage, "")),
		},
		"the same with another setting": {
			templates: templatesOf(replicaSet("3", oldImage, ""), replicaSet("5", oldImage, ""), replicaSet("4", newImage, "")),
		},
		"a change that Kubernetes has not seen yet": {
			deployment: unseen, templates: templatesOf(replicaSet("4", "a/b:1", ""), replicaSet("5", oldImage, "")),
		},
	} {
		api := running()
		api.there[podsPath], api.there[templatesPath] = crashing, test.templates
		api.there[deploymentPath] = cmp.Or(test.deployment, runs(oldImage, "1", "ReplicaSetUpdated"))
		u, said, _ := guarding(api)
		err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c"))
		if err == nil || !strings.Contains(err.Error(), "until the database is ready") || len(api.created)+len(*said) > 0 {
			t.Errorf("%s: got %v, created %v, said %q", name, err, api.created, *said)
		}
	}
}

// A stop that is cut short is none in order. The pod that runs has the grace period of the Deployment that is there, not of the new one.
func TestUpgrade_WarnsOfAStopThatMayBeCutShort(t *testing.T) {
	t.Parallel()
	for grace, warns := range map[string]bool{"45": true, "149": true, "150": false, "180": false} {
		for _, preview := range []bool{true, false} {
			api := running()
			api.there[deploymentPath] = strings.Replace(api.there[deploymentPath], `"containers"`, `"terminationGracePeriodSeconds":`+grace+`,"containers"`, 1)
			u, said, _ := guarding(api)
			u.preview = preview
			if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err != nil {
				t.Error(err)
			}
			if all := strings.Join(*said, "\n"); strings.Contains(all, "has "+grace+" s for it (iris.terminationGracePeriodSeconds)") != warns {
				t.Errorf("%s s, preview %v: said %s", grace, preview, all)
			}
		}
	}
}

func TestUpgrade_APreviewSaysWhatWillHappen(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{available: "first makes an IRIS-consistent backup", unavailable: "cannot use the backup target"} {
		api := running()
		api.there[targetPath] = target
		u, said, _ := guarding(api)
		u.preview = true
		err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c"))
		// Longhorn's reason may quote the target's login.
		if all := strings.Join(*said, "\n"); err != nil || len(api.created) > 0 || !strings.Contains(all, want) || strings.Contains(all, "hunter2") {
			t.Errorf("got %v, created %v, said %q", err, api.created, *said)
		}
	}
	u, said, _ := guarding(&upgraded{objects: objects{err: errors.New("refused")}})
	u.preview = true
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err != nil || len(*said) != 1 {
		t.Errorf("got %v, said %q", err, *said)
	}
	u, _, _ = guarding(u.api)
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err == nil {
		t.Error("an update goes on although the database could not be looked at")
	}
	u, _, _ = guarding(&upgraded{objects: objects{err: live.ErrUnknown}})
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err != nil {
		t.Errorf("got %v", err)
	}
}

// The image stays when there is no backup, and the error has the reason and the way past it.
func TestUpgrade_FailsWithoutABackup(t *testing.T) {
	t.Parallel()
	const waiting = `{"items":[{"metadata":{"name":"b-1"},"status":{"phase":"Pending","containerStatuses":[{"name":"backup","state":{"waiting":{"reason":"ImagePullBackOff"}}}]}}]}`
	const failed = `{"items":[{"metadata":{"name":"b-1"},"status":{"phase":"Failed","containerStatuses":[{"name":"backup","state":{"terminated":
		{"reason":"Error","exitCode":1,"message":"agent: IRIS does not freeze"}}}]}}]}`
	for name, test := range map[string]struct {
		there  map[string]string
		err    error
		want   string
		waited time.Duration
		jobs   int
	}{
		"no target":           {there: map[string]string{targetPath: unavailable}, want: "cannot use the backup target; why: kubectl -n longhorn-system describe", waited: upgradePatience},
		"no CronJob":          {there: map[string]string{schedulePath: "null"}, want: "If backups are new in this change, they come first", waited: upgradePatience},
		"it fails":            {there: map[string]string{startedPods: failed, jobsPath + "/" + startedName: `{"status":{"conditions":[{"type":"Failed","status":"True"}]}}`}, want: "IRIS does not freeze", jobs: 1},
		"its deadline":        {there: map[string]string{jobsPath + "/" + startedName: `{"status":{"conditions":[{"type":"Failed","status":"True","reason":"DeadlineExceeded","message":"too long"}]}}`}, want: "DeadlineExceeded: too long", jobs: 1},
		"it makes none":       {there: map[string]string{jobsPath + "/" + startedName: `{"status":{"conditions":[{"type":"Complete","status":"True"}]}}`}, want: "made no backup", jobs: 1},
		"it does not start":   {there: map[string]string{startedPods: waiting, jobsPath + "/" + startedName: `{}`}, want: "ImagePullBackOff", waited: upgradeMargin, jobs: 1},
		"it takes too long":   {there: map[string]string{startedPods: `{"items":[{"status":{"phase":"Running"}}]}`, jobsPath + "/" + startedName: `{}`}, want: "is at work", waited: time.Hour, jobs: 1},
		"somebody deletes it": {want: "somebody has deleted it", jobs: 1},
	} {
		api := running()
		api.then = nil
		maps.Copy(api.there, test.there)
		maps.DeleteFunc(api.there, func(_, text string) bool { return text == "null" })
		u, _, waited := guarding(api)
		err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c"))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "runs on with its image") ||
			!strings.Contains(err.Error(), "--replicas=0") {
			t.Errorf("%s: got %v", name, err)
		}
		if waited() != test.waited || len(api.created) != test.jobs {
			t.Errorf("%s: waited %s, %d jobs", name, waited(), len(api.created))
		}
	}
	forbidden := running()
	forbidden.then = func() { forbidden.err = &live.StatusError{Code: http.StatusForbidden, Message: "no"} }
	u, _, waited := guarding(forbidden)
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err == nil || waited() != 0 {
		t.Errorf("waited %s, %v", waited(), err)
	}
}

// An update that was interrupted has left its job at work; the next one waits for that.
func TestUpgrade_TheNextUpdateWaitsForTheJobThatIsThere(t *testing.T) {
	t.Parallel()
	api := running()
	api.then()
	api.there[runningJobs+checksum(newImage)] = `{"items":[{"metadata":{"name":"done"},"status":{"conditions":[{"type":"Failed","status":"True"}]}},
		{"metadata":{"name":"` + startedName + `",` + createdAt + `}}]}`
	u, _, _ := guarding(api)
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); err != nil || len(api.created) > 0 {
		t.Errorf("got %v, created %v", err, api.created)
	}
	u, _, _ = guarding(api)
	u.pause = func(context.Context, time.Duration) error { return context.Canceled }
	api.there[jobsPath+"/"+startedName] = `{}`
	if err := u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// mounting is of a run that changes the image and what the pod mounts: two ConfigMaps or Secrets, and then the Deployment.
func (u *upgrade) mounting(t *testing.T) (first, second, deployment error) {
	t.Helper()
	u.image, u.claim = newImage, "c"
	first, second = u.beforeMounted(t.Context()), u.beforeMounted(t.Context())
	return first, second, u.beforeUpdate(t.Context(), deployed(oldImage, "c"), deployed(newImage, "c"))
}

// A pod that replaces the one that runs while the backup is made, or after it has failed, has the old image and reads what is there.
func TestUpgrade_WritesNothingThatThePodMountsBefore(t *testing.T) {
	t.Parallel()
	api := running()
	api.then = nil
	api.there[jobsPath+"/"+startedName] = `{"status":{"conditions":[{"type":"Failed","status":"True","reason":"DeadlineExceeded"}]}}`
	u, _, _ := guarding(api)
	first, second, deployment := u.mounting(t)
	if first == nil || !strings.Contains(first.Error(), "DeadlineExceeded") || !strings.Contains(first.Error(), "its image and its settings") {
		t.Errorf("the first is written although there is no backup: %v", first)
	}
	for _, err := range []error{second, deployment} {
		if err == nil || !strings.Contains(err.Error(), "stays as it is") || strings.Contains(err.Error(), "DeadlineExceeded") {
			t.Errorf("another: got %v", err)
		}
	}
	if len(api.created) != 1 {
		t.Errorf("%d jobs", len(api.created))
	}

	api = running()
	api.there[podsPath] = crashing
	u, _, _ = guarding(api)
	if first, _, _ = u.mounting(t); first == nil || !strings.Contains(first.Error(), "until the database is ready") {
		t.Errorf("it is written while the database is down: %v", first)
	}

	api = running()
	u, said, _ := guarding(api)
	first, second, deployment = u.mounting(t)
	if err := errors.Join(first, second, deployment); err != nil || len(api.created) != 1 || len(*said) != 1 {
		t.Errorf("got %v, %d jobs, said %q", err, len(api.created), *said)
	}
}

// What is changed without another image is not held up, and the database is not looked at.
func TestUpgrade_HoldsNothingElseUp(t *testing.T) {
	t.Parallel()
	elsewhere := strings.Replace(runs(oldImage, "1", "NewReplicaSetAvailable"), `"containers"`,
		`"volumes":[{"emptyDir":{}},{"persistentVolumeClaim":{"claimName":"iris-pvc"}}],"containers"`, 1)
	for name, test := range map[string]struct {
		there   map[string]string
		err     error
		preview bool
	}{
		"the same image":      {there: map[string]string{deploymentPath: runs(newImage, "1", "NewReplicaSetAvailable")}},
		"the first one":       {},
		"no cluster yet":      {err: live.ErrUnknown},
		"a preview":           {there: map[string]string{deploymentPath: runs(oldImage, "1", "NewReplicaSetAvailable")}, preview: true},
		"a preview of a dark": {err: errors.New("refused"), preview: true},
	} {
		u, said, waited := guarding(&upgraded{objects: objects{there: test.there, err: test.err}})
		u.image, u.claim, u.preview = newImage, "iris-pvc-2", test.preview
		if err := u.beforeMounted(t.Context()); err != nil || len(*said) > 0 || waited() > 0 {
			t.Errorf("%s: got %v, said %q, waited %s", name, err, *said, waited())
		}
	}
	if err := (&upgrade{image: newImage}).beforeMounted(t.Context()); err != nil {
		t.Errorf("without an API server: %v", err)
	}
	// A restore: until its data are there, a pod that is replaced is one of the old volume, with its settings.
	restoring, said, _ := guarding(&upgraded{objects: objects{there: map[string]string{deploymentPath: elsewhere}}})
	restoring.image, restoring.claim = newImage, "iris-pvc-2"
	if err := restoring.beforeMounted(t.Context()); err == nil || err.Error() != "it is not filled" || len(*said) > 0 {
		t.Errorf("another volume: got %v, said %q", err, *said)
	}
	u, _, _ := guarding(&upgraded{objects: objects{err: errors.New("refused")}})
	if err := u.beforeMounted(t.Context()); err == nil {
		t.Error("it is written although nobody knows whether the image changes")
	}
	u, said, _ = guarding(&upgraded{objects: objects{there: map[string]string{deploymentPath: runs(oldImage, "0", "NewReplicaSetAvailable")}}})
	first, second, deployment := u.mounting(t)
	if err := errors.Join(first, second, deployment); err != nil || len(*said) != 1 {
		t.Errorf("scaled to 0: got %v, said %q", err, *said)
	}
}

// The CronJob and the target may be made by the update that waits for them.
func TestUpgrade_WaitsForWhatTheSameUpdateMakes(t *testing.T) {
	t.Parallel()
	api := running()
	api.there[targetPath] = unavailable
	delete(api.there, schedulePath)
	u, _, waited := guarding(api)
	pause := u.pause
	u.pause = func(ctx context.Context, length time.Duration) error {
		api.there[targetPath], api.there[schedulePath] = available, scheduleJSON
		return pause(ctx, length)
	}
	if first, second, deployment := u.mounting(t); errors.Join(first, second, deployment) != nil || len(api.created) != 1 || waited() != upgradeTick {
		t.Errorf("got %v, created %v, waited %s", first, api.created, waited())
	}
}

// What makes the backup is not held up by it.
func TestUpgrade_IsAskedForByAllThatPodsOfTheDatabaseMount(t *testing.T) {
	t.Parallel()
	for edition, cfg := range editions() {
		result := mustRun(t, cfg)
		deployment := guard.InputsOf(result.One(t, "kubernetes:apps/v1:Deployment", deploymentName).Inputs)
		held := 0
		for _, one := range result.Registrations() {
			kind := one.TypeToken[strings.LastIndex(one.TypeToken, ":")+1:]
			want := (kind == "ConfigMap" || kind == "Secret") && deployment.Has(one.Name)
			if got := slices.Contains(one.RegisterRPC.GetHooks().GetBeforeUpdate(), "iris-guard-mounted"); got != want {
				t.Errorf("%s: %s %s is held up: %v", edition, kind, one.Name, got)
			}
			if want {
				held++
			}
		}
		if held < 3 { // The merge file, the credentials and the web server's files.
			t.Errorf("%s: %d objects are held up", edition, held)
		}
	}
}

// The hook is on the Deployment, and what the job is made from is there by then.
func TestUpgrade_IsAskedForByTheDeployment(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community(backedUp(agentImage)))
	deployment := result.One(t, "kubernetes:apps/v1:Deployment", deploymentName).RegisterRPC
	if hooks := strings.Join(deployment.GetHooks().GetBeforeUpdate(), " "); !strings.Contains(hooks, "-guard-upgrade") {
		t.Errorf("the hooks are %s", hooks)
	}
	if all := strings.Join(deployment.GetDependencies(), "\n"); !strings.Contains(all, "batch/v1:CronJob::"+backupName) {
		t.Errorf("the Deployment waits for\n%s", all)
	}
}

func TestRollout_SaysWhatToDoAfterAnUpgradeThatFailed(t *testing.T) {
	t.Parallel()
	set := func(revision, image string) string { return replicaSet(revision, image, "") }
	for _, test := range []struct {
		templates string
		says      bool
	}{
		{`{"items":[` + set("9", oldImage) + `,` + set("10", newImage) + `,` + set("8", newImage) + `]}`, true},
		{`{"items":[` + set("1", oldImage) + `,` + set("2", newImage) + `,` + set("3", newImage) + `]}`, false},
		{`{"items":[` + set("1", newImage) + `]}`, false},
		{"", false},
	} {
		r := &rollout{api: &answers{t: t, looks: []look{{}}, templates: test.templates}, namespace: "iris", selector: "app=iris"}
		got := strings.Join(r.afterUpgrade(t.Context()), "\n")
		if (got != "") != test.says || test.says && !strings.Contains(got, "iris.image "+oldImage+" again, pulumi up") {
			t.Errorf("%s: said %q", test.templates, got)
		}
	}
}
