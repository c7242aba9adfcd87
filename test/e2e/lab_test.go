//go:build e2e && lab

package e2e_test

import (
	"context"
	"errors"
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
	t      *testing.T
	on     sandbox
	cfg    config
	portal string
	// runs counts the backups that were started.
	runs int64
}

// startLab starts three real nodes and brings the stack up on them.
func startLab(t *testing.T, name string, change ...func(config) config) *lab {
	t.Helper()
	return bringUp(t, name, ownSandbox(t, "e2e-"+name, "--nodes", "real"), change...)
}

// bringUp brings a stack up on three real nodes.
func bringUp(t *testing.T, name string, on sandbox, change ...func(config) config) *lab {
	t.Helper()
	cfg := baseConfig(on).set("iris.image", labImage).set("iris.service.sourceRanges", []any{"10.64.0.0/10"})
	for _, one := range change {
		cfg = one(cfg)
	}
	l := &lab{stack: newStack(t, name), t: t, on: on, cfg: cfg}
	l.configure(cfg)
	began := time.Now()
	outputs, _ := l.up()
	t.Logf("up after %s", time.Since(began).Round(time.Second))
	l.portal, _ = outputs["portalUrl"].Value.(string)
	return l
}

// TestLab_Stack takes a stack through its days where containers and volumes are real.
func TestLab_Stack(t *testing.T) {
	onOwn(t)
	l := startLab(t, "lab")
	claim := l.claim()
	l.writes(1)
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"opens", func() { l.opens(password) }},
		{"speaks the article's commands", l.speaks},
		{"serves another team's stack", l.serves},
		{"takes a new password", l.rotates},
		{"takes other settings", l.changesSettings},
		{"says what is wrong with its settings", l.refusesSettings},
		{"says that its files are not its own", l.refusesFiles},
		{"grows", l.grows},
		{"comes back after its pod is deleted", l.losesPod},
		{"comes back after its process dies", l.losesProcess},
		{"moves when its node is drained", l.isDrained},
		{"is restored from a backup", l.backsUp},
	} {
		passed := l.step(step.name, step.run)
		if !passed {
			return // What follows builds on it, and the cluster stays for a look.
		}
		if l.claim() != claim {
			t.Fatalf("after %q the claim is another one: the data is lost", step.name)
		}
	}
	l.destroyEverything(l.cfg)
}

// step runs a part as a test of its own, on the same lab.
func (l *lab) step(name string, run func()) (passed bool) {
	whole, wholeStack := l.t, l.stack.t
	defer func() { l.t, l.stack.t = whole, wholeStack }()
	return whole.Run(name, func(t *testing.T) {
		l.t, l.stack.t = t, t // A test can only be stopped from within.
		run()
	})
}

func (l *lab) losesPod() {
	l.survives("a deleted pod", func() { l.on.kubectl(l.t, "-n", "iris", "delete", "pod", "-l", "app=iris", "--wait=false") })
}

func (l *lab) losesProcess() {
	l.survives("a dead process", func() { _, _ = l.exec("kill -9 -1") }) // The shell ends with the others.
}

func (l *lab) isDrained() {
	node := l.node()
	l.survives("a drain", func() {
		l.on.kubectl(l.t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=5m")
	})
	if now := l.node(); now == node {
		l.t.Errorf("the database is still on %s", node)
	}
	l.on.kubectl(l.t, "uncordon", node)
	l.heals()
}

func (l *lab) claim() string {
	l.t.Helper()
	return l.on.claimUID(l.t)
}

func (l *lab) node() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "iris", "get", "pods", "-l", "app=iris", "--field-selector=status.phase=Running", "-o",
		"jsonpath={.items[0].spec.nodeName}")
}

// exec runs a command in the database's container.
func (l *lab) exec(command string) (string, error) {
	l.t.Helper()
	return l.on.tryKubectl(l.t, "-n", "iris", "exec", "deploy/iris", "-c", "iris", "--", "/bin/sh", "-c", command)
}

// errAnswered is the web server's answer that it will not.
var errAnswered = errors.New("refused")

// ask sends a request to the database's web server from this machine. A dead node does not even refuse, hence the time limit.
func (l *lab) ask(method, path, body string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
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
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", response.Status, content)
		if response.StatusCode < http.StatusInternalServerError {
			err = errors.Join(errAnswered, err)
		}
	}
	return string(content), err
}

// opens wants the login page at portalUrl, a login with the right password, and with no other, and IRIS' own command to see it run.
func (l *lab) opens(right string) {
	l.t.Helper()
	eventually(l.t, podWait, func() error {
		page, err := l.ask(http.MethodGet, l.portal, "")
		if err == nil && !strings.Contains(page, "Login") {
			err = fmt.Errorf("got %q", page)
		}
		return err
	})
	for _, word := range []string{password, rotated, "wrong"} {
		page, err := l.ask(http.MethodPost, l.portal, url.Values{"IRISUsername": {"SuperUser"}, "IRISPassword": {word}}.Encode())
		if err != nil || strings.Contains(page, "User SuperUser") != (word == right) {
			l.t.Errorf("login with the right password %t: got %q, %v", word == right, page, err)
		}
	}
	if list, err := l.exec("iris qlist IRIS"); err != nil || !strings.Contains(list, "^running, since ") {
		l.t.Errorf("iris qlist gave %q, %v", list, err)
	}
}

// row is the address of a row of the stand-in's own interface, which is written with a commit.
func (l *lab) row(number int) string {
	base, _, _ := strings.Cut(l.portal, "/csp/")
	return base + "/iris-standin/node?transaction=1&ref=" + url.QueryEscape(fmt.Sprintf("^rows(%d)", number))
}

// writes a row.
func (l *lab) writes(number int) {
	l.t.Helper()
	eventually(l.t, podWait, func() error {
		_, err := l.ask(http.MethodPost, l.row(number), fmt.Sprintf("row=%d", number))
		return err
	})
}

// has says whether a row is there.
func (l *lab) has(number int) (bool, error) {
	page, err := l.ask(http.MethodGet, l.row(number), "")
	if errors.Is(err, errAnswered) {
		return false, nil
	}
	return strings.Contains(page, fmt.Sprintf("row=%d\n", number)), err
}

// survives wants the database and its first row back after something has happened, and says how long that took.
func (l *lab) survives(what string, happen func()) (took time.Duration) {
	l.t.Helper()
	began := time.Now()
	answers := func() error {
		there, err := l.has(1)
		if err == nil && !there {
			err = errors.New("row 1 is not there")
		}
		return err
	}
	gone := make(chan time.Time, 1)
	go func() { // It may be back before what happens has happened: a drain waits for it.
		for answers() == nil && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		gone <- time.Now()
	}()
	happen()
	since := <-gone
	eventually(l.t, recovery, answers)
	took = time.Since(began)
	l.t.Logf("%s: answers again %s after it began, %s after the last answer", what, took.Round(time.Second), time.Since(since).Round(time.Second))
	l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
	return took
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
