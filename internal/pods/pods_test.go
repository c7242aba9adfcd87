package pods

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/live"
)

// logs is an API server that has one container's log.
type logs string

func (l logs) Get(_ context.Context, path string, into any) (bool, error) {
	text, isLog := into.(*live.Text)
	if !isLog || !strings.Contains(path, "/log?") {
		return false, nil
	}
	*text = live.Text(l)
	return l != "", nil
}

func facts(t *testing.T, log, pod string) string {
	t.Helper()
	var p Pod
	if err := json.Unmarshal([]byte(pod), &p); err != nil {
		t.Fatal(err)
	}
	return strings.Join(Namespace{API: logs(log), Name: "iris"}.Facts(t.Context(), p), "\n")
}

func TestFacts_SayWhyAPodIsNotReady(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log, pod string
		want     []string
	}{
		"its own words": {
			"never asked for", `{"metadata":{"name":"p"},"status":{"containerStatuses":[{"name":"c","restartCount":2,
				"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"reason":"Error","exitCode":1,"message":"no disk"}}}]}}`,
			[]string{"p, container c: 2 restarts, waiting, CrashLoopBackOff", "p, container c: ended, Error (exit code 1): no disk"},
		},
		"its log": {
			"no disk\n", `{"metadata":{"name":"p"},"status":{"containerStatuses":[{"name":"c","state":{"terminated":{"reason":"Error","exitCode":1}},
				"lastState":{"terminated":{"reason":"Error","exitCode":2}}}]}}`,
			[]string{"p, container c: ended, Error (exit code 1)", "p, log: no disk"},
		},
		"a condition": {
			"", `{"metadata":{"name":"p"},"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/3 nodes"}]}}`,
			[]string{"p: Unschedulable: 0/3 nodes"},
		},
		"nothing": {"", `{"metadata":{"name":"p"},"status":{"phase":"Pending"}}`, []string{"p: Pending, not ready"}},
	} {
		if got := facts(t, test.log, test.pod); got != strings.Join(test.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, strings.Join(test.want, "\n"))
		}
	}
}

func TestBrief_HidesHashesAndKeepsTheEnd(t *testing.T) {
	t.Parallel()
	if got := brief("line 3: [Startup]\nPasswordHash=abc,def,10000,SHA512 is wrong"); got != "line 3: [Startup] PasswordHash=[hidden] is wrong" {
		t.Errorf("got %q", got)
	}
	if got := brief(strings.Repeat("x", maxFact) + " the cause"); !strings.HasPrefix(got, "... ") || !strings.HasSuffix(got, " the cause") {
		t.Errorf("got %q", got)
	}
}

func TestPod_IsHopelessAfterFourRestarts(t *testing.T) {
	t.Parallel()
	var p Pod
	p.Status.Containers = []Container{{RestartCount: HopelessRestarts - 1}, {Ready: true, RestartCount: 9}}
	if p.Hopeless() {
		t.Error("it has three restarts, and another container is ready")
	}
	if p.Status.Init = slices.Repeat([]Container{{RestartCount: HopelessRestarts}}, 1); !p.Hopeless() {
		t.Error("its init container has four restarts")
	}
}
