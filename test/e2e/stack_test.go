//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"sigs.k8s.io/yaml"

	"ha-iris/test/e2e/evidence"
)

const (
	// password is set in every stack and must appear in no output.
	password   = "Tr0ub4dor-e2e"
	passphrase = "e2e"
	// operationTimeout bounds one engine operation. The longest, an up that replaces the nodes of three zones, takes two minutes
	// on the sandbox, and longer beside others.
	operationTimeout = 10 * time.Minute
)

// object is a piece of configuration.
type object = map[string]any

// config is what a stack sets; sections left out keep the program's defaults.
type config struct {
	cluster, storage, iris, failover object
	// other are keys of other namespaces, such as aws:region.
	other object
}

// baseConfig is the smallest useful stack on a sandbox.
func baseConfig(s sandbox) config {
	return config{
		cluster: object{"cloud": "existing", "kubeconfigPath": s.Kubeconfig, "context": s.Context},
		storage: object{"chart": filepath.Join(repository, "sandbox", "charts", "longhorn")},
		iris: object{"service": object{
			"type": "LoadBalancer", "sourceRanges": []any{"127.0.0.0/8"}, "superserver": true,
		}},
	}
}

// installingNothing is the configuration for storage that is there already: without the keys of the chart.
func (c config) installingNothing() config {
	copied := c.set("storage.install", false)
	delete(copied.storage, "chart")
	return copied
}

// set returns a copy with one key of a section changed; path is dotted, its head the section.
func (c config) set(path string, value any) config {
	encoded, err := json.Marshal(object{"cluster": c.cluster, "storage": c.storage, "iris": c.iris, "failover": c.failover})
	if err != nil {
		panic(err) //nolint:forbidigo // A literal in a test that cannot be encoded is the test's own mistake.
	}
	var copied map[string]object
	if err := json.Unmarshal(encoded, &copied); err != nil {
		panic(err) //nolint:forbidigo // As above.
	}
	keys := strings.Split(path, ".")
	section := copied[keys[0]]
	if section == nil {
		section = object{}
		copied[keys[0]] = section
	}
	for _, key := range keys[1 : len(keys)-1] {
		nested, ok := section[key].(map[string]any)
		if !ok {
			nested = object{}
			section[key] = nested
		}
		section = nested
	}
	section[keys[len(keys)-1]] = value
	return config{cluster: copied["cluster"], storage: copied["storage"], iris: copied["iris"], failover: copied["failover"], other: c.other}
}

// stack is one stack of the program on the real engine, with state and settings of its own.
type stack struct {
	auto.Stack
	t    *testing.T
	dir  string
	kept *evidence.Test
	// printed is what the last operation of each kind printed, by the name of a file.
	printed map[string]string
}

// project is a Pulumi program to run.
type project struct {
	// file is the program's Pulumi.yaml, program its binary.
	file, program string
	// state is the directory of the state; stacks that refer to each other share it.
	state string
}

// newStack makes a stack of ha-iris with a state of its own.
func newStack(t *testing.T, name string, env ...string) *stack {
	t.Helper()
	kept.Of(t) // Before the first directory.
	return newStackOf(t, project{file: filepath.Join(repository, "Pulumi.yaml"), program: program, state: t.TempDir()}, name, env...)
}

// newStackOf makes a stack of a program in a directory of its own.
func newStackOf(t *testing.T, p project, name string, env ...string) *stack {
	t.Helper()
	left := kept.Of(t)
	dir := t.TempDir()
	p.write(t, dir)
	variables := map[string]string{
		"PULUMI_HOME":                                 filepath.Join(repository, ".local", "pulumi"),
		"PULUMI_BACKEND_URL":                          "file://" + p.state,
		"PULUMI_CONFIG_PASSPHRASE":                    passphrase,
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK":    "true",
	}
	for _, variable := range env {
		key, value, _ := strings.Cut(variable, "=")
		variables[key] = value
	}
	created, err := auto.UpsertStackLocalSource(t.Context(), name, dir, auto.EnvVars(variables))
	if err != nil {
		t.Fatalf("create stack: %v", err)
	}
	s := &stack{Stack: created, t: t, dir: dir, kept: left, printed: map[string]string{}}
	if !left.Has(sandboxEvidence) {
		shared.keep(t)
	}
	left.Add(name, s.keep)
	return s
}

// write copies the project file and points it at the binary.
func (p project) write(t *testing.T, dir string) {
	t.Helper()
	content, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatalf("read project: %v", err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(content, &settings); err != nil {
		t.Fatalf("parse project: %v", err)
	}
	settings["runtime"] = object{"name": "go", "options": object{"binary": p.program}}
	content, err = yaml.Marshal(settings)
	if err != nil {
		t.Fatalf("render project: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), content, 0o600); err != nil {
		t.Fatalf("write project: %v", err)
	}
}

// configure replaces the stack's configuration.
func (s *stack) configure(c config) {
	s.t.Helper()
	settings := object{"ha-iris:cluster": c.cluster, "ha-iris:storage": c.storage, "ha-iris:iris": c.iris}
	if c.failover != nil {
		settings["ha-iris:failover"] = c.failover
	}
	maps.Copy(settings, c.other)
	content, err := yaml.Marshal(object{"config": settings})
	if err != nil {
		s.t.Fatalf("render settings: %v", err)
	}
	path := filepath.Join(s.dir, "Pulumi."+s.Name()+".yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatalf("write settings: %v", err)
	}
	s.setSecret("irisPassword", password)
}

func (s *stack) setSecret(name, value string) {
	s.t.Helper()
	if err := s.SetConfig(s.t.Context(), name, auto.ConfigValue{Value: value, Secret: true}); err != nil {
		s.t.Fatalf("set secret %s: %v", name, err)
	}
}

func (s *stack) setPlain(name, value string) {
	s.t.Helper()
	if err := s.SetConfig(s.t.Context(), name, auto.ConfigValue{Value: value}); err != nil {
		s.t.Fatalf("set %s: %v", name, err)
	}
}

func (s *stack) remove(name string) {
	s.t.Helper()
	if err := s.RemoveConfig(s.t.Context(), name); err != nil {
		s.t.Fatalf("remove %s: %v", name, err)
	}
}

// changes is what an operation did, or would do: how many resources per kind of step.
type changes map[string]int

func (c changes) String() string {
	encoded, err := json.Marshal(map[string]int(c))
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// onlySame reports whether nothing changed.
func (c changes) onlySame() bool { return len(c) == 1 && c["same"] > 0 }

// up applies the configuration and fails the test when that fails.
func (s *stack) up(options ...optup.Option) (auto.OutputMap, changes) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), operationTimeout)
	defer cancel()
	var log bytes.Buffer
	start := time.Now()
	result, err := s.Up(ctx, append(options,
		optup.ProgressStreams(&log), optup.ErrorProgressStreams(&log), optup.SuppressProgress())...)
	s.check("up", log.String(), start)
	if err != nil {
		s.t.Fatalf("up: %v", err)
	}
	return result.Outputs, changes(*result.Summary.ResourceChanges)
}

// preview returns what up would do, or the error that it would end with.
func (s *stack) preview() (changes, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), operationTimeout)
	defer cancel()
	var log bytes.Buffer
	start := time.Now()
	result, err := s.Preview(ctx, optpreview.ProgressStreams(&log), optpreview.ErrorProgressStreams(&log))
	s.check("preview", log.String(), start)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, log.String())
	}
	planned := changes{}
	for operation, count := range result.ChangeSummary {
		planned[string(operation)] = count
	}
	return planned, nil
}

// tryDestroy destroys as a person does, through the CLI: the Automation API skips the preview that finds what is
// protected before anything is deleted.
func (s *stack) tryDestroy() error {
	s.t.Helper()
	_, err := s.cli("destroy", "--yes")
	return err
}

// cli runs the Pulumi CLI on the stack and returns all that it prints.
func (s *stack) cli(args ...string) (string, error) {
	s.t.Helper()
	start := time.Now()
	output, err := s.runCLI((*exec.Cmd).CombinedOutput, args...)
	s.check(args[0], output, start)
	return output, err
}

// plan returns a preview as JSON. It is not logged: it has thousands of lines.
func (s *stack) plan() (string, error) {
	s.t.Helper()
	planned, err := s.runCLI((*exec.Cmd).Output, "preview", "--json", "--show-sames")
	s.printed["preview.json"] = planned
	if strings.Contains(planned, password) {
		s.t.Error("the password is in the JSON of a preview")
	}
	return planned, err
}

func (s *stack) runCLI(run func(*exec.Cmd) ([]byte, error), args ...string) (string, error) {
	s.t.Helper()
	return s.runCLIFor(s.t.Context(), run, args...)
}

func (s *stack) runCLIFor(ctx context.Context, run func(*exec.Cmd) ([]byte, error), args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	output, err := run(s.command(ctx, args...))
	if err != nil {
		return string(output), fmt.Errorf("pulumi %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return string(output), nil
}

// command is the Pulumi CLI on the stack.
func (s *stack) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "pulumi", append(args, "--stack", s.Name(), "--non-interactive")...)
	command.Dir = s.dir
	command.Env = os.Environ()
	for key, value := range s.Workspace().GetEnvVars() {
		command.Env = append(command.Env, key+"="+value)
	}
	return command
}

// check logs an operation's output and fails the test when the password is in it.
func (s *stack) check(operation, log string, start time.Time) {
	s.t.Helper()
	s.printed[strings.ReplaceAll(operation, " ", "-")+".log"] = log
	s.t.Logf("%s took %.1f s\n%s", operation, time.Since(start).Seconds(), log)
	if strings.Contains(log, password) {
		s.t.Errorf("the password is in the output of %s", operation)
	}
}

// state returns the resources of the stack's state.
func (s *stack) state() []apitype.ResourceV3 {
	s.t.Helper()
	exported, err := s.Export(s.t.Context())
	if err != nil {
		s.t.Fatalf("export state: %v", err)
	}
	// As it is stored: the Automation API's export decrypts.
	stored, err := s.runCLIFor(s.t.Context(), (*exec.Cmd).Output, "stack", "export")
	if err != nil {
		s.t.Fatalf("export state as it is stored: %v", err)
	}
	for form, text := range map[string]string{"in clear": password, "in base64": base64.StdEncoding.EncodeToString([]byte(password))} {
		if strings.Contains(stored, text) {
			s.t.Errorf("the password is in the state %s", form)
		}
	}
	var deployment apitype.DeploymentV3
	if err := json.Unmarshal(exported.Deployment, &deployment); err != nil {
		s.t.Fatalf("parse state: %v", err)
	}
	return deployment.Resources
}

// destroyEverything leaves the sandbox empty for the next test, whatever state this one ended in.
func (s *stack) destroyEverything(c config) {
	s.t.Helper()
	s.kept.Take()
	s.configure(c.set("iris.protectData", false))
	s.up()
	if err := s.tryDestroy(); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

// writeFile writes a file in a directory of the test's own and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
	return path
}

// kubectl runs kubectl against a sandbox and returns what it prints.
func (s sandbox) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := s.tryKubectl(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func (s sandbox) tryKubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	all := append([]string{"--kubeconfig", s.Kubeconfig, "--context", s.Context}, args...)
	// The test's own context is over when its clean-up looks what is left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), operationTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, "kubectl", all...).CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("run kubectl: %w", err)
	}
	return string(output), nil
}

// eventually retries a check until it holds; the message of the last failure is what the test fails with.
func eventually(t *testing.T, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", timeout, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("cancelled: %v", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
