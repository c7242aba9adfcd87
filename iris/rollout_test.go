package iris

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/live"
	"ha-iris/internal/testkit"
)

// answers is an API server whose answers change with each look at the Deployment.
type answers struct {
	t *testing.T
	// looks are the Deployment's status and the pods, as JSON, from the first look to the last, which stays.
	looks []look
	at    int
	// templates are the Deployment's ReplicaSets.
	templates string
}

type look struct {
	deployment, pods string
	err              error
}

func (a *answers) Get(_ context.Context, path string, into any) (bool, error) {
	now := a.looks[min(a.at, len(a.looks)-1)]
	text := ""
	switch {
	case strings.HasSuffix(path, "/apis/apps/v1/namespaces/iris/deployments/iris"):
		a.at++
		if now.err != nil {
			return false, now.err
		}
		text = now.deployment
	case strings.Contains(path, "/log?"):
		log, ok := into.(*live.Text)
		if ok {
			*log = "[ERROR] locksiz is not valid\n"
		}
		return ok, nil
	case strings.HasPrefix(path, "/api/v1/namespaces/iris/pods?labelSelector=app%3Diris"):
		text = a.looks[max(0, min(a.at, len(a.looks))-1)].pods
	case strings.HasPrefix(path, "/apis/apps/v1/namespaces/iris/replicasets?labelSelector=app%3Diris"):
		text = a.templates
	case strings.HasPrefix(path, "/api/v1/namespaces/iris/events"):
		text = `{"items":[{"involvedObject":{"name":"iris-2"},"reason":"BackOff","message":"again"},
			{"involvedObject":{"name":"other"},"reason":"BackOff","message":"another's"}]}`
	default:
		a.t.Errorf("asked for %s", path)
	}
	if text == "" {
		return false, nil
	}
	return true, json.Unmarshal([]byte(text), into)
}

const (
	rolling = `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1}}`
	rolled  = `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`
	// stale is the Deployment as it was before its controller has seen the change: complete, by its numbers.
	stale = `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`
	// scaledAway is the moment in which the provider calls the update complete.
	scaledAway = `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":2}}`
	// lost is complete but for its pod, as after the loss of a node.
	lost = `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,
		"conditions":[{"type":"Available","status":"False"},{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable"}]}}`
	scaled   = `{"metadata":{"generation":2},"spec":{"replicas":0},"status":{"observedGeneration":2}}`
	evicted  = `{"items":[{"metadata":{"name":"iris-0"},"status":{"phase":"Failed","containerStatuses":[{"name":"iris","restartCount":9}]}}]}`
	starting = `{"items":[{"metadata":{"name":"iris-2"},"status":{"phase":"Running"}}]}`
	ending   = `{"items":[{"metadata":{"name":"iris-1","deletionTimestamp":"2026-11-27T12:00:00Z"}}]}`
	crashing = `{"items":[{"metadata":{"name":"iris-2"},"status":{"phase":"Running","containerStatuses":[{"name":"iris","restartCount":4,
		"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 1m20s"}},
		"lastState":{"terminated":{"reason":"Error","exitCode":1,"message":"[config] locksiz: \"12\" is not between"}}}]}}]}`
)

// roll waits with a clock that only pauses move, and returns how long it waited and what it said.
func roll(t *testing.T, looks ...look) (waited time.Duration, said []string, err error) {
	t.Helper()
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	now := start
	r := &rollout{
		api: &answers{t: t, looks: looks}, namespace: "iris", selector: "app=iris", budget: 10 * time.Minute,
		log: func(text string) { said = append(said, text) },
		now: func() time.Time { return now },
		pause: func(ctx context.Context, length time.Duration) error {
			now = now.Add(length)
			return ctx.Err()
		},
	}
	err = r.await(t.Context())
	return now.Sub(start), said, err
}

func TestRollout_WaitsForTheNewPod(t *testing.T) {
	t.Parallel()
	waited, said, err := roll(t, look{deployment: stale, pods: ending}, look{deployment: scaledAway, pods: ending}, look{deployment: scaledAway},
		look{err: errors.New("connection refused")}, look{deployment: rolling, pods: starting}, look{deployment: rolled})
	if err != nil || waited != 5*rolloutTick {
		t.Errorf("waited %s, %v", waited, err)
	}
	all := strings.Join(said, "\n")
	for _, word := range []string{"iris-1 ends", "its new pod is not there yet", "connection refused", "iris-2: Running, not ready"} {
		if !strings.Contains(all, word) {
			t.Errorf("%q is not among what was said:\n%s", word, all)
		}
	}
	if len(said) != 4 { // Two looks found the same.
		t.Errorf("said %d things:\n%s", len(said), all)
	}
}

func TestRollout_GivesUpOnAPodThatFailsAgainAndAgain(t *testing.T) {
	t.Parallel()
	waited, _, err := roll(t, look{deployment: rolling, pods: starting}, look{deployment: rolling, pods: crashing})
	if err == nil || waited != lastLooks*rolloutTick {
		t.Fatalf("waited %s, %v", waited, err)
	}
	for _, word := range []string{"4 restarts", "CrashLoopBackOff", "exit code 1", `locksiz: "12" is not between`, "event BackOff: again", "run pulumi up again"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error lacks %q:\n%v", word, err)
		}
	}
	if strings.Contains(err.Error(), "another's") {
		t.Errorf("the error speaks of another pod:\n%v", err)
	}
}

func TestRollout_EndsWithItsBudget(t *testing.T) {
	t.Parallel()
	waited, said, err := roll(t, look{deployment: rolling, pods: starting})
	if err == nil || waited != 10*time.Minute || !strings.Contains(err.Error(), "not become ready within 10m0s") {
		t.Errorf("waited %s, %v", waited, err)
	}
	if len(said) != 10 {
		t.Errorf("said %d things in ten minutes:\n%s", len(said), strings.Join(said, "\n"))
	}
}

func TestRollout_IsNotMisledByPodsThatAreNoPartOfIt(t *testing.T) {
	t.Parallel()
	old := look{deployment: rolling, pods: crashing} // The old pod, in the moment before it is deleted.
	if waited, _, err := roll(t, old, old, look{deployment: rolling, pods: evicted}, look{deployment: rolled}); err != nil || waited != 3*rolloutTick {
		t.Errorf("waited %s, %v", waited, err)
	}
	many := slices.Repeat([]look{{deployment: rolling, pods: evicted}}, 2*lastLooks)
	if _, said, err := roll(t, append(many, look{deployment: rolled})...); err != nil || strings.Contains(strings.Join(said, ""), "iris-0") {
		t.Errorf("got %v, said %q", err, said)
	}
}

func TestRollout_WaitsForNothingWhereNothingIsWanted(t *testing.T) {
	t.Parallel()
	if waited, said, err := roll(t, look{deployment: rolling, pods: starting}, look{deployment: scaled}); err != nil || waited != rolloutTick || len(said) != 2 {
		t.Errorf("waited %s, said %q, %v", waited, said, err)
	}
}

// TestRollout_AfterDecidesWhetherToWait has an engine that calls no hooks, so what this run writes is said by the test.
func TestRollout_AfterDecidesWhetherToWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		looks            []look
		written, preview bool
		// looked is how often the Deployment is read, fails whether the update does.
		looked int
		fails  bool
	}{
		"nothing written, all well":          {looks: []look{{deployment: rolled}}, looked: 1},
		"nothing written, a node was lost":   {looks: []look{{deployment: lost}}, looked: 1},
		"nothing written, no API server":     {looks: []look{{err: errors.New("refused")}}, looked: 1},
		"nothing written, scaled to 0":       {looks: []look{{deployment: scaled}}, looked: 1},
		"an earlier update did not complete": {looks: []look{{deployment: rolling, pods: crashing}}, looked: 2 + lastLooks - 1, fails: true},
		"written, comes up":                  {looks: []look{{deployment: rolling, pods: starting}, {deployment: rolled}}, written: true, looked: 2},
		"written, does not come up":          {looks: []look{{deployment: rolling, pods: crashing}}, written: true, looked: lastLooks, fails: true},
		"a preview":                          {looks: []look{{deployment: rolling, pods: crashing}}, written: true, preview: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &answers{t: t, looks: test.looks}
			r := &rollout{
				api: api, namespace: "iris", selector: "app=iris", budget: time.Hour, log: func(string) {}, now: time.Now,
				pause: func(context.Context, time.Duration) error { return nil },
			}
			r.written.Store(test.written)
			err := (&testkit.Recorder{}).Run(func(ctx *pulumi.Context) error {
				deployment, err := appsv1.NewDeployment(ctx, "iris", &appsv1.DeploymentArgs{})
				if err == nil {
					ctx.Export("ready", r.after(ctx, deployment))
				}
				return err
			}, testkit.Options{Preview: test.preview})
			if api.at != test.looked || (err != nil) != test.fails {
				t.Errorf("looked %d times, want %d; %v", api.at, test.looked, err)
			}
		})
	}
}

// TestRollout_IsAskedForByTheProgram: a run that writes nothing looks once.
func TestRollout_IsAskedForByTheProgram(t *testing.T) {
	t.Parallel()
	for preview, looked := range map[bool]int{true: 0, false: 1} {
		api := &answers{t: t, looks: []look{{deployment: rolled}}}
		result := scenario{args: Args{Config: licensed(), API: api}, preview: preview}.run(t)
		if result.err != nil || api.at != looked {
			t.Errorf("preview %t: %d looks, %v", preview, api.at, result.err)
		}
	}
}

// Of a database that is to be stopped nothing is waited for, not by the provider either: it would wait for the Service's pod.
func TestRollout_StopsTheDatabaseAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	running, stopped := manifests(t, mustRun(t, community())), manifests(t, mustRun(t, community(func(c *Config) { c.Replicas = 0 })))
	if len(running) != len(stopped) {
		t.Errorf("%d objects, and %d of a database that is stopped", len(running), len(stopped))
	}
	for _, object := range stopped {
		text := toYAML(t, []manifest{object})
		switch {
		case object.kind == "Deployment" && !strings.Contains(text, "replicas: 0"):
			t.Errorf("the Deployment is\n%s", text)
		case object.kind == "Service" && !strings.Contains(text, skipAwait):
			t.Errorf("the Service is\n%s", text)
		}
	}
	for _, count := range []int{-1, 2, 3} {
		cfg := community(func(c *Config) { c.Replicas = count })
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "iris.replicas: got") {
			t.Errorf("%d replicas: %v", count, err)
		}
	}
}

// Create posts nothing: a wait only looks.
func (*answers) Create(context.Context, string, any, any) error { return errors.ErrUnsupported }
