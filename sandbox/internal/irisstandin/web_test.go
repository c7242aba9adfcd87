package irisstandin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (b *box) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", b.web, path) }

func (b *box) get(path string) (int, string) {
	b.t.Helper()
	response, err := http.Get(b.url(path))
	if err != nil {
		b.t.Fatal(err)
	}
	return readBody(b.t, response)
}

func readBody(t *testing.T, response *http.Response) (int, string) {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (b *box) login(name, password string) string {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	form := url.Values{"IRISUsername": {name}, "IRISPassword": {password}}
	response, err := client.PostForm(b.url("/csp/sys/UtilHome.csp"), form)
	if err != nil {
		b.t.Fatal(err)
	}
	_, first := readBody(b.t, response)
	if response, err = client.Get(b.url("/csp/sys/UtilHome.csp")); err != nil {
		b.t.Fatal(err)
	}
	_, second := readBody(b.t, response)
	if strings.Contains(first, "<title>Home") != strings.Contains(second, "<title>Home") {
		b.t.Errorf("the session does not last:\n%s\n%s", first, second)
	}
	return first
}

func TestPortal_LoginPageAndLogin(t *testing.T) {
	b := newBox(t)
	b.merge("PasswordHash=" + hashOf(t, "a-password") + "\n")
	b.start()
	for _, path := range []string{"/csp/sys/UtilHome.csp", "/csp/sys/%25CSP.Portal.Home.zen", "/csp/sys/NoSuch.csp"} {
		code, body := b.get(path)
		if code != 200 || !strings.Contains(body, "IRISPassword") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	wantContains(t, b.login("_SYSTEM", "SYS"), "Access Denied")
	wantContains(t, b.login("_SYSTEM", "a-password"), "Change Password")
	b.merge("[Actions]\nModifyUser:Name=_SYSTEM,ChangePassword=0,PasswordNeverExpires=1,PasswordHash=\"" + hashOf(t, "rotated-one") + "\"\n")
	b.log("[INFO] merged")
	wantContains(t, b.login("_SYSTEM", "rotated-one"), "<title>Home")
	wantContains(t, b.login("_SYSTEM", "a-password"), "Access Denied")
}

func TestMonitor_Endpoints(t *testing.T) {
	b := newBox(t)
	b.start()
	b.kill()
	b.start()
	if code, body := b.get("/api/monitor/metrics"); code != 200 || !strings.Contains(body, "iris_system_state 2\n") {
		t.Errorf("%d %s", code, body)
	}
	for i, want := range []bool{true, false} { // Reading consumes the alerts.
		code, body := b.get("/api/monitor/alerts")
		var alerts []alert
		if err := json.Unmarshal([]byte(body), &alerts); err != nil || code != 200 || len(alerts) > 0 != want {
			t.Errorf("reading %d: %d %s, %v", i, code, body, err)
		}
	}
	if code, _ := b.get("/api/monitor/interop"); code != 200 {
		t.Errorf("interop: %d", code)
	}
	if code, _ := b.get("/api/monitor"); code != 404 {
		t.Errorf("the root: %d", code)
	}
	for range communityConnections {
		b.get("/api/monitor/metrics")
	}
	if code, _ := b.get("/api/monitor/metrics"); code != 503 {
		t.Errorf("with all units held: %d", code)
	}
}

func TestPorts(t *testing.T) {
	b := newBox(t)
	b.start()
	open := func(port int) bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	if !open(b.super) || !open(b.web) {
		t.Error("a port is closed")
	}
	b.stop()
	if open(b.super) || open(b.web) {
		t.Error("a port is open after the stop")
	}
	b.merge("WebServer=0\n")
	b.start()
	if !open(b.super) || open(b.web) {
		t.Error("WebServer=0: the web server runs, or nothing does")
	}
	b.stop()
	b.install(DefaultVersion, Licensed)
	b.merge("")
	b.start()
	if open(b.web) {
		t.Error("a licensed image has a web server")
	}
}

func TestOwn_AcknowledgedWrites(t *testing.T) {
	b := newBox(t)
	b.merge("[Miscellaneous]\nSynchCommit=1\n")
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "1h")
	b.start()
	put := func(query, value string) (int, string) {
		t.Helper()
		response, err := http.Post(b.url("/iris-standin/node?"+query), "text/plain", strings.NewReader(value))
		if err != nil {
			t.Fatal(err)
		}
		if response.Header.Get("X-Iris-Standin") == "" {
			t.Error("the interface passes for IRIS'")
		}
		return readBody(t, response)
	}
	if code, body := put("ref=^rows(1)&transaction=1", "one"); code != 200 || body != "acknowledged\n" {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := put("ref=^rows(2)", "two"); code != 200 {
		t.Fatal(code)
	}
	if code, _ := put("ref=local", "x"); code != 400 {
		t.Errorf("a local variable: %d", code)
	}
	if code, body := b.get("/iris-standin/node?ref=^rows(2)"); code != 200 || body != "two\n" {
		t.Errorf("%d %s", code, body)
	}
	b.kill()
	b.start()
	if code, body := b.get("/iris-standin/node?ref=^rows(1)"); code != 200 || body != "one\n" {
		t.Errorf("the acknowledged row: %d %s", code, body)
	}
	if code, _ := b.get("/iris-standin/node?ref=^rows(2)"); code != 400 {
		t.Errorf("the row outside of a transaction survived: %d", code)
	}
}

func TestGateway_LogsInWithCSPSystemsPassword(t *testing.T) {
	b := newBox(t)
	b.merge("[Actions]\nModifyUser:Name=CSPSystem,PasswordHash=\"" + hashOf(t, "of-the-gateway") + "\"\n")
	b.start()
	if code, _ := b.get("/csp/sys/UtilHome.csp"); code != 503 {
		t.Errorf("with a password of its own: %d", code)
	}
	secret := filepath.Join(b.dir, "secret")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, "of-the-gateway\n")
	ini := "[SYSTEM]\nRELOAD=%s\n[LOCAL]\nUsername=CSPSystem\nPassword={cat " + secret + "}\n"
	write(b.data("csp/bin/CSP.ini"), fmt.Sprintf(ini, "0"))
	time.Sleep(50 * time.Millisecond)
	if code, _ := b.get("/csp/sys/UtilHome.csp"); code != 503 {
		t.Errorf("without RELOAD: %d", code)
	}
	write(b.data("csp/bin/CSP.ini"), fmt.Sprintf(ini, "1"))
	b.eventually("the portal", func() bool { code, _ := b.get("/csp/sys/UtilHome.csp"); return code == 200 })
}
