package irisstandin

import (
	"context"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// gateway is what lies between the web server and IRIS: it logs in as the user of CSP.ini, CSPSystem, whose password
// [Startup] PasswordHash does not change (facts 1.8, 3.3). While it cannot log in, every page is an error: 5xx is what a
// gateway without its IRIS gives (facts 4).
type gateway struct {
	in   *instance
	path string

	mu      sync.Mutex
	looked  time.Time
	name    string
	secret  string
	allowed bool
}

// reloadFlag in CSP.ini's [SYSTEM] makes a running web server read the file again (ADOCK 5.5.3).
const reloadFlag = "1"

func newGateway(i *instance) *gateway {
	g := &gateway{in: i, path: filepath.Join(i.settings.root(), "csp", "bin", "CSP.ini")}
	g.read(true)
	return g
}

// read takes user and password from the file; after the start only if the file asks for it.
func (g *gateway) read(always bool) {
	content, err := os.ReadFile(g.path)
	if err != nil {
		return
	}
	file, err := parseCPF(g.path, string(content)) // The same form.
	if err != nil || !always && file.get("SYSTEM", "RELOAD") != reloadFlag {
		return
	}
	g.name, g.secret = file.get("LOCAL", "Username"), decodeSecret(file.get("LOCAL", "Password"))
}

// decodeSecret knows the three forms: encoded behind "]]]", a command in braces that prints it (ADOCK 5.5.4), and clear.
func decodeSecret(text string) string {
	if encoded, found := strings.CutPrefix(text, "]]]"); found {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return ""
		}
		return string(decoded)
	}
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "/bin/sh", "-c", text[1:len(text)-1]).Output() //nolint:gosec // As the gateway does.
		if err != nil {
			return ""
		}
		return strings.TrimRight(string(out), "\r\n")
	}
	return text
}

// connected logs in, at most once per interval.
func (g *gateway) connected() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.looked) >= g.in.settings.Reload {
		g.read(false)
		g.allowed, _ = g.in.users.login(g.name, g.secret)
		g.looked = time.Now()
	}
	return g.allowed
}

func (g *gateway) around(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.connected() {
			http.Error(w, "Server Availability Error: the web server cannot log in to IRIS", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	})
}
