//go:build e2e && lab

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLab_Article runs the article's own set-up (testdata/article), to show what it does where this program's does not: Longhorn's
// default class and policy, no security context, one liveness probe, default tolerations (iris.md 0).
func TestLab_Article(t *testing.T) {
	l := startLab(t, "article")
	longhorn := []string{"-n", "longhorn-system", "patch", "settings.longhorn.io", "node-down-pod-deletion-policy", "--type=merge", "-p"}
	l.on.kubectl(t, append(longhorn, `{"value":"do-nothing"}`)...)
	a := &article{l, t}
	l.on.kubectl(t, "create", "namespace", "article")
	a.kubectl("apply", "-f", filepath.Join(repository, "test", "e2e", "testdata", "article"))
	a.failsOnPermissions()
	a.patch(`{"securityContext":{"fsGroup":51773}}`)
	a.runs()
	a.killsItsRecovery()
	a.staysAway()
}

// article is the article's set-up in a namespace of its own, beside the stack's.
type article struct {
	*lab
	t *testing.T
}

func (a *article) kubectl(args ...string) string {
	a.t.Helper()
	return a.on.kubectl(a.t, append([]string{"-n", "article"}, args...)...)
}

// patch changes the pod's template.
func (a *article) patch(pod string) {
	a.t.Helper()
	a.kubectl("patch", "deployment", "iris", "--type=strategic", "-p", fmt.Sprintf(`{"spec":{"template":{"spec":%s}}}`, pod))
}

// failsOnPermissions: nobody gives the volume to IRIS' user. Without a readiness probe the pod is called ready all the same, whenever it
// tries again.
func (a *article) failsOnPermissions() {
	a.t.Helper()
	eventually(a.t, podWait, func() error {
		said, err := a.on.tryKubectl(a.t, "-n", "article", "logs", "deployment/iris", "--previous")
		if err == nil && !strings.Contains(said, "Cannot create target: /external/iris") {
			err = fmt.Errorf("it says %q", said)
		}
		return err
	})
}

func (a *article) ready() bool {
	a.t.Helper()
	return a.kubectl("get", "deployment", "iris", "-o", "jsonpath={.status.readyReplicas}") == "1"
}

// runs waits until the newest pod's instance runs: without a readiness probe the pod is ready before.
func (a *article) runs() {
	a.t.Helper()
	a.kubectl("rollout", "status", "deployment/iris", "--timeout=300s")
	eventually(a.t, podWait, func() error {
		listed, err := a.on.tryKubectl(a.t, "-n", "article", "exec", "deploy/iris", "--", "iris", "qlist", "IRIS")
		if err == nil && !strings.Contains(listed, "^running, since") {
			err = fmt.Errorf("it says %q", listed)
		}
		return err
	})
}

func (a *article) restarts() int {
	a.t.Helper()
	text := a.kubectl("get", "pods", "-l", "app=iris", "-o", "jsonpath={.items[0].status.containerStatuses[0].restartCount}")
	count, err := strconv.Atoi(text)
	if err != nil {
		a.t.Fatalf("restarts are %q", text)
	}
	return count
}

// killsItsRecovery: its probe wants the instance to run 25 s after the start and kills what takes longer, again and again.
func (a *article) killsItsRecovery() {
	a.t.Helper()
	a.patch(`{"containers":[{"name":"iris","env":[{"name":"IRIS_STANDIN_RECOVERY","value":"120s"}]}]}`)
	a.runs()
	before := a.restarts()
	_, _ = a.on.tryKubectl(a.t, "-n", "article", "exec", "deploy/iris", "--", "/bin/sh", "-c", "kill -9 -1")
	eventually(a.t, recovery, func() error {
		if more := a.restarts() - before; more < 3 { // The first one is the crash itself.
			return fmt.Errorf("it was started again %d times", more)
		}
		return nil
	})
	said := a.kubectl("get", "events", "--field-selector=reason=Unhealthy", "-o", "jsonpath={.items[*].message}")
	if !strings.Contains(said, "Liveness probe failed") {
		a.t.Errorf("the events are %q", said)
	}
	a.patch(`{"containers":[{"name":"iris","env":[{"name":"IRIS_STANDIN_RECOVERY","value":"1s"}]}]}`)
	a.runs()
}

// staysAway: after a dead node its volume stays attached there.
func (a *article) staysAway() {
	a.t.Helper()
	node := a.kubectl("get", "pods", "-l", "app=iris", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].spec.nodeName}")
	a.on.fault(a.t, "kill", node)
	began := time.Now()
	for gone := false; time.Since(began) < 12*time.Minute; time.Sleep(5 * time.Second) {
		if ready := a.ready(); ready && gone {
			a.t.Fatalf("it is back after %s", time.Since(began).Round(time.Second))
		} else if !ready {
			gone = true
		}
	}
	a.t.Logf("not back within %s: %s", time.Since(began).Round(time.Second),
		a.kubectl("get", "events", "--field-selector=reason=FailedAttachVolume", "-o", "jsonpath={.items[*].message}"))
	if now := a.kubectl("get", "pods", "-l", "app=iris", "-o", "jsonpath={.items[*].status.phase}"); !strings.Contains(now, "Pending") {
		a.t.Errorf("its pods are %s", now)
	}
}
