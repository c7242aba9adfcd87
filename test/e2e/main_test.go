//go:build e2e

// Package e2e_test runs the program on the real Pulumi engine, the real Kubernetes provider and a real API server with
// its scheduler and controllers. Nodes, containers and Longhorn are the sandbox's simulation.
package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"ha-iris/test/e2e/evidence"
)

// Set once by TestMain.
var (
	// repository is the root of the checkout.
	repository string
	// program and consumer are the binaries of the program and of examples/consumer.
	program, consumer string
	// shared is the sandbox of the tests that need nothing special of it.
	shared sandbox
	// kept is where failed tests leave what there is to look at.
	kept *evidence.Store
)

// ownAtOnce is how many tests with clusters of their own run at a time, beside one on the shared cluster: they wait most of the time, for
// volumes, drains and time-outs, and four of all fill two cores.
const ownAtOnce = 3

// Who runs when: every test but the measuring one is parallel to go test, which must be told not to hold them back (-parallel 32).
var (
	sharedInUse sync.Mutex
	ownInUse    = make(chan struct{}, ownAtOnce)
)

// onShared makes a test run alone on the shared sandbox, beside those that have clusters of their own.
func onShared(t *testing.T) {
	t.Helper()
	t.Parallel()
	sharedInUse.Lock()
	t.Cleanup(sharedInUse.Unlock)
}

// onOwn makes a test run beside others, on a cluster of its own.
func onOwn(t *testing.T) {
	t.Helper()
	t.Parallel()
	ownInUse <- struct{}{}
	t.Cleanup(func() { <-ownInUse })
}

// sandbox is a running cluster on this machine, as `sandbox up --json` describes it.
type sandbox struct {
	Name       string `json:"name"`
	Kubeconfig string `json:"kubeconfig"`
	Context    string `json:"context"`
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if repository, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
		return 1, fmt.Errorf("find the repository: %w", err)
	}
	kept = evidence.NewStore(filepath.Join(repository, ".local", "e2e"))
	dir, err := os.MkdirTemp("", "ha-iris-e2e-")
	if err != nil {
		return 1, fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := setEnvironment(dir); err != nil {
		return 1, err
	}
	program, consumer = filepath.Join(dir, "ha-iris"), filepath.Join(dir, "consumer")
	for binary, source := range map[string]string{program: ".", consumer: "./examples/consumer"} {
		build := exec.Command("go", "build", "-o", binary, source)
		build.Dir = repository
		if output, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", source, err, output)
		}
	}
	if ownClusters() {
		return m.Run(), nil
	}
	if shared, err = startSandbox("e2e"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stopSandbox("e2e", code == 0)) }()
	return m.Run(), nil
}

// ownClusters says whether only tests are to run that have clusters of their own: those on real nodes, and those that wait most of the time.
func ownClusters() bool {
	flag.Parse()
	run := flag.Lookup("test.run")
	return run != nil && regexp.MustCompile(`^\^?Test\(?(Lab|Backups|Clouds|Drill|Guard|Rolls|Snapshots)`).MatchString(run.Value.String())
}

// setEnvironment sets what every process of the tests inherits.
func setEnvironment(dir string) error {
	bin := filepath.Join(repository, ".local", "bin")
	if err := os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	// The Kubernetes provider leaves kubeconfigs in the directory for temporary files, and the Go host its own directories.
	// Not one per test: with a test's name in it, a path can get too long for a socket.
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Setenv("TMPDIR", temporary); err != nil {
		return fmt.Errorf("set TMPDIR: %w", err)
	}
	return nil
}

func startSandbox(name string, args ...string) (sandbox, error) {
	// A cluster left by a run that was killed would bring its objects along.
	if err := stopSandbox(name, true); err != nil {
		return sandbox{}, err
	}
	command := exec.Command("sandbox", append([]string{"up", "--name", name, "--json"}, args...)...)
	command.Dir = repository
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return sandbox{}, fmt.Errorf("start sandbox %s: %w\n%s", name, err, output)
	}
	var started sandbox
	if err := json.Unmarshal(output, &started); err != nil {
		return sandbox{}, fmt.Errorf("sandbox %s: read %q: %w", name, output, err)
	}
	return started, nil
}

// ownSandbox starts a cluster that is the test's own.
func ownSandbox(t *testing.T, name string, args ...string) sandbox {
	t.Helper()
	kept.Of(t)
	on, err := startSandbox(name, args...)
	if err != nil {
		t.Fatalf("start sandbox: %v", err)
	}
	t.Cleanup(func() {
		if err := stopSandbox(name, !t.Failed()); err != nil {
			t.Errorf("stop sandbox: %v", err)
		}
	})
	on.keep(t)
	return on
}

// stopSandbox stops a cluster. Without purge its objects stay: sandbox up brings a failed test's cluster back.
func stopSandbox(name string, purge bool) error {
	if output, err := runSandbox("down", "--name", name, fmt.Sprintf("--purge=%t", purge)); err != nil {
		return fmt.Errorf("stop sandbox %s: %w\n%s", name, err, output)
	}
	return nil
}

// runSandbox runs a command of the sandbox in the checkout and returns all that it says.
func runSandbox(args ...string) ([]byte, error) {
	command := exec.Command("sandbox", args...)
	command.Dir = repository
	return command.CombinedOutput()
}
