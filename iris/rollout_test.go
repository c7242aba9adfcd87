package iris

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"ha-iris/internal/live"
)

// answers is an API server whose answers change with each look at the Deployment.
type answers struct {
	t *testing.T
	// looks are the Deployment's status and the pods, as JSON, from the first look to the last, which stays.
	looks []look
	at    int
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
	rolling = `{"metadata":{"generation":2},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1}}`
	rolled  = `{"metadata":{"generation":2},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`
	// stale is the Deployment as it was before its controller has seen the change: complete, by its numbers.
	stale = `{"metadata":{"generation":2},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`
	// scaledAway is the moment in which the provider calls the update complete.
	scaledAway = `{"metadata":{"generation":2},"status":{"observedGeneration":2}}`
	starting   = `{"items":[{"metadata":{"name":"iris-2"},"status":{"phase":"Running"}}]}`
	ending     = `{"items":[{"metadata":{"name":"iris-1","deletionTimestamp":"2026-11-27T12:00:00Z"}}]}`
	crashing   = `{"items":[{"metadata":{"name":"iris-2"},"status":{"phase":"Running","containerStatuses":[{"name":"iris","restartCount":4,
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
	if err == nil || waited > time.Minute {
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
	if err == nil || waited != 10*time.Minute || !strings.Contains(err.Error(), "not ready after 10m0s") {
		t.Errorf("waited %s, %v", waited, err)
	}
	if len(said) != 10 {
		t.Errorf("said %d things in ten minutes:\n%s", len(said), strings.Join(said, "\n"))
	}
}

// TestRollout_WaitsOnlyForWhatThisRunWrites: the mock engine calls no hooks, so nothing is written, and the API server is not asked.
func TestRollout_WaitsOnlyForWhatThisRunWrites(t *testing.T) {
	t.Parallel()
	api := &answers{t: t, looks: []look{{deployment: rolling}}}
	for _, preview := range []bool{true, false} {
		result := scenario{args: Args{Config: licensed(), API: api}, preview: preview}.run(t)
		if result.err != nil || api.at != 0 {
			t.Errorf("preview %t: %d looks, %v", preview, api.at, result.err)
		}
	}
}
