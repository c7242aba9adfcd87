//go:build e2e && lab

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	// labImage plays IRIS (sandbox/internal/images).
	labImage = "ha-iris.local/iris-standin:2026.1.0.234.1"
	// recovery is how long a lost node may take: Kubernetes' and Longhorn's 117 to 227 s as measured (longhorn-real.md), a crash
	// start of the stand-in of 15 s, and a loaded machine.
	recovery = 6 * time.Minute
)

// lab is a stack on three real nodes.
type lab struct {
	*stack
	on     sandbox
	portal string
}

// TestLab runs the program where containers, volumes and nodes are real, and takes them away.
func TestLab(t *testing.T) {
	on := ownSandbox(t, "e2e-lab", "--nodes", "real")
	c := baseConfig(on).set("iris.image", labImage).set("iris.service.sourceRanges", []any{"10.64.0.0/10"})
	s := newStack(t, "lab")
	s.configure(c)
	began := time.Now()
	outputs, _ := s.up()
	t.Logf("up after %s", time.Since(began).Round(time.Second))
	portal, _ := outputs["portalUrl"].Value.(string)
	l := &lab{s, on, portal}

	l.opens()
	l.lists()
	claim := on.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}")
	l.writes(1)
	l.survives("a deleted pod", 1, func() { on.kubectl(t, "-n", "iris", "delete", "pod", "-l", "app=iris", "--wait=false") })
	l.survives("a dead process", 1, func() {
		on.kubectl(t, "-n", "iris", "exec", "deploy/iris", "-c", "iris", "--", "sh", "-c", "kill -9 -1")
	})
	l.writes(2)
	node := l.node()
	l.survives("a dead node", 2, func() { on.fault(t, "kill", node) })
	if now := l.node(); now == node {
		t.Errorf("the database is on %s, which is dead", now)
	}
	if now := on.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}"); now != claim {
		t.Error("the claim is another one")
	}
	on.fault(t, "start", node)
	l.heals()
	s.destroyEverything(c)
}

// fault does something to a node.
func (s sandbox) fault(t *testing.T, fault, node string) {
	t.Helper()
	if output, err := runSandbox("node", fault, node, "--name", s.Name); err != nil {
		t.Fatalf("node %s %s: %v\n%s", fault, node, err, output)
	}
}

func (l *lab) node() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "iris", "get", "pods", "-l", "app=iris", "--field-selector=status.phase=Running", "-o",
		"jsonpath={.items[0].spec.nodeName}")
}

// ask sends a request to the database's web server from this machine. A dead node does not even refuse, hence the time limit.
func (l *lab) ask(method, path string, form url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// opens wants the login page at portalUrl, and a login with the stack's password, and with no other.
func (l *lab) opens() {
	l.t.Helper()
	eventually(l.t, podWait, func() error {
		page, err := l.ask(http.MethodGet, l.portal, nil)
		if err == nil && !strings.Contains(page, "Login") {
			err = fmt.Errorf("got %q", page)
		}
		return err
	})
	for word, want := range map[string]bool{password: true, "wrong": false} {
		page, err := l.ask(http.MethodPost, l.portal, url.Values{"IRISUsername": {"SuperUser"}, "IRISPassword": {word}})
		if err != nil || strings.Contains(page, "User SuperUser") != want {
			l.t.Errorf("login with the right password %t: got %q, %v", want, page, err)
		}
	}
}

func (l *lab) lists() {
	l.t.Helper()
	if list := l.on.kubectl(l.t, "-n", "iris", "exec", "deploy/iris", "-c", "iris", "--", "iris", "qlist", "IRIS"); !strings.Contains(list, "^running, since ") {
		l.t.Errorf("iris qlist gave %q", list)
	}
}

func (l *lab) row(number int) string {
	base, _, _ := strings.Cut(l.portal, "/csp/")
	return base + "/iris-standin/node?transaction=1&ref=" + url.QueryEscape(fmt.Sprintf("^rows(%d)", number))
}

// writes a row with a commit, which is acknowledged when it is in the journal on the disk.
func (l *lab) writes(number int) {
	l.t.Helper()
	eventually(l.t, podWait, func() error {
		_, err := l.ask(http.MethodPost, l.row(number), url.Values{"row": {fmt.Sprint(number)}})
		return err
	})
}

// survives wants every row back after something has happened, and says how long that took.
func (l *lab) survives(what string, rows int, happen func()) {
	l.t.Helper()
	began := time.Now()
	happen()
	gone := false
	eventually(l.t, recovery, func() error {
		page, err := l.ask(http.MethodGet, l.row(1), nil)
		if err != nil {
			gone = true
			return err
		}
		if !gone && time.Since(began) < time.Minute {
			return fmt.Errorf("%s has not stopped it yet", what)
		}
		if !strings.Contains(page, "row=1") {
			return fmt.Errorf("row 1 is %q", page)
		}
		return nil
	})
	l.t.Logf("%s: answers again after %s", what, time.Since(began).Round(time.Second))
	for number := 1; number <= rows; number++ {
		if page, err := l.ask(http.MethodGet, l.row(number), nil); err != nil || !strings.Contains(page, fmt.Sprintf("row=%d", number)) {
			l.t.Errorf("%s: row %d was acknowledged and is %q now (%v)", what, number, page, err)
		}
	}
	l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
}

// heals wants all three replicas back.
func (l *lab) heals() {
	l.t.Helper()
	eventually(l.t, recovery, func() error {
		robustness := l.on.kubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o", "jsonpath={.items[0].status.robustness}")
		if robustness != "healthy" {
			return fmt.Errorf("the volume is %s", robustness)
		}
		return nil
	})
}
