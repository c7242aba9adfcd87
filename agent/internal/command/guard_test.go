package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/agent/internal/alive"
)

// output is what a running command has written so far.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// nowhere is a kubeconfig of an API server that does not answer: nobody listens on tcpmux's port.
func nowhere(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	kubeconfig := `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], ` +
		`users: [{name: a, user: {token: sesame}}], clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]}`
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// While the API server is away a guard goes on and answers the check in the database's pod; no secret gets into the log. It does not run
// beside other tests: client-go has one log for the whole process.
func TestGuard_IsAliveWithoutTheAPIServer(t *testing.T) {
	var log output
	ctx, stop := context.WithCancel(t.Context())
	command := Guard()
	command.SetErr(&log)
	command.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--kubeconfig", nowhere(t)}, required...))
	ended := make(chan error, 1)
	go func() { ended <- command.ExecuteContext(ctx) }()
	address := regexp.MustCompile(`listen=(\S+)`)
	for deadline := time.Now().Add(10 * time.Second); !address.MatchString(log.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not say where it listens:\n%s", log.String())
		}
	}
	url := "http://" + address.FindStringSubmatch(log.String())[1]
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "refused"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not say that the API server is away:\n%s", log.String())
		}
	}
	var alive alive.Answer
	if code, body := get(t, url+"/alive"); code != http.StatusOK || json.Unmarshal([]byte(body), &alive) != nil || alive.Node != "n1" {
		t.Errorf("/alive: got %d, %s", code, body)
	}
	if code, _ := get(t, url+"/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d", code)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
	if strings.Contains(log.String(), "sesame") {
		t.Errorf("the log has the token:\n%s", log.String())
	}
}

func TestGuard_AnAddressThatIsTaken(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	command := Guard()
	command.SetErr(io.Discard)
	command.SetOut(io.Discard)
	command.SetArgs(append([]string{"--listen", listener.Addr().String(), "--kubeconfig", nowhere(t)}, required...))
	if err := command.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v", err)
	}
}
