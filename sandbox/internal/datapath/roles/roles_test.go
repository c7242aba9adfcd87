//go:build linux

package roles

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"ha-iris/sandbox/internal/testkit"
)

func TestChoose_FindsTheRoleInTheCommand(t *testing.T) {
	for command, want := range map[string]string{
		"/usr/local/bin/longhorn-manager":                     "manager",
		"longhorn-manager uninstall --force":                  "uninstall",
		"longhorn-manager pre-upgrade":                        "pre-upgrade",
		"longhorn-manager post-upgrade":                       "post-upgrade",
		"longhorn-manager -d daemon --manager-image x":        "manager",
		"longhorn-manager deploy-driver":                      "idle",
		"/longhorn-standin instance-manager":                  "instance-manager",
		"longhorn-instance-manager --debug daemon":            "instance-manager",
		"/longhorn-standin csi-plugin":                        "csi-plugin",
		"/csi-attacher --v=2":                                 "idle",
		"/longhorn-standin idle":                              "idle",
		"/longhorn-standin ui":                                "ui",
		"/longhorn-standin wait":                              "wait",
		"/longhorn-standin":                                   "",
		"/longhorn-standin something --else instance.manager": "",
	} {
		if got := choose(strings.Fields(command)); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// get asks until somebody listens, for a few seconds.
func get(t *testing.T, method, url string) int {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // As the kubelet's probes.
	}}
	defer client.CloseIdleConnections()
	var err error
	for range 50 {
		var request *http.Request
		request, err = http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		var response *http.Response
		response, err = client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			return response.StatusCode
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
	return 0
}

func TestManager_AnswersItsProbesAndEndsAtOnce(t *testing.T) {
	plain, secure := testkit.Port(t), testkit.Port(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, []port{{number: plain}, {number: secure, secure: true}}, slog.New(slog.DiscardHandler))
	}()
	for _, url := range []string{fmt.Sprintf("https://127.0.0.1:%d/v1/healthz", secure), fmt.Sprintf("http://127.0.0.1:%d/v1", plain)} {
		if code := get(t, http.MethodGet, url); code != http.StatusOK {
			t.Errorf("%s: %d", url, code)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("does not end")
	}
}

func TestUninstaller_EndsAsTheControllerDecides(t *testing.T) {
	for code, fails := range map[int]bool{0: false, 1: true} {
		address := fmt.Sprintf("127.0.0.1:%d", testkit.Port(t))
		ended := make(chan error, 1)
		go func() { ended <- waitForEnd(t.Context(), address) }()
		if answer := get(t, http.MethodPost, fmt.Sprintf("http://%s/v1/end?code=%d", address, code)); answer != http.StatusNoContent {
			t.Errorf("answer %d", answer)
		}
		if err := <-ended; (err != nil) != fails {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

func TestDeployer_WaitsForAManager(t *testing.T) {
	number := testkit.Port(t)
	waited := make(chan error, 1)
	go func() { waited <- waitForManager(t.Context(), fmt.Sprintf("http://127.0.0.1:%d", number)) }()
	select {
	case err := <-waited:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = serve(ctx, []port{{number: number}}, slog.New(slog.DiscardHandler)) }()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}
