package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	// stack is the name of the stack, and of its sandbox.
	stack = "bench"
	// stateDir is the directory of a project's state.
	stateDir = "state"
)

// bench is one measurement.
type bench struct {
	ctx      context.Context
	root     string
	runs     int
	progress io.Writer
	report   report
}

func measure(ctx context.Context, runs int, cold bool, progress io.Writer) (report, error) {
	root, err := os.Getwd()
	if err != nil {
		return report{}, fmt.Errorf("find the checkout: %w", err)
	}
	b := &bench{ctx: ctx, root: root, runs: runs, progress: progress}
	b.report.Machine = fmt.Sprintf("%s/%s, %d cores, %s, %s",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
	if cold {
		if err := b.coldBuild(); err != nil {
			return report{}, err
		}
	}
	err = b.engine()
	return b.report, err
}

func (b *bench) say(format string, args ...any) {
	// Progress is a courtesy: a closed terminal must not stop a measurement.
	_, _ = fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

func (b *bench) add(name string, took time.Duration, remark string) {
	b.report.Rows = append(b.report.Rows, row{Name: name, Seconds: took.Seconds(), Remark: remark})
}

// coldBuild builds the program with an empty cache.
func (b *bench) coldBuild() (err error) {
	dir, err := os.MkdirTemp("", "ha-iris-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.say("building the program with an empty cache, some minutes ...")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", filepath.Join(dir, "program"), ".")
	build.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"))
	build.Stderr = b.progress
	start := time.Now()
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the program: %w", err)
	}
	b.add(rowColdBuild, time.Since(start), "empty GOCACHE, modules downloaded")
	if usage, ok := build.ProcessState.SysUsage().(*syscall.Rusage); ok {
		unit := int64(1024) // Linux counts in KiB, macOS in bytes.
		if runtime.GOOS == "darwin" {
			unit = 1
		}
		b.report.Rows = append(b.report.Rows, row{
			Name: rowPeakMemory, Bytes: usage.Maxrss * unit, Remark: "largest process, a compiler",
		})
	}
	return nil
}

// engine measures the operations on a sandbox.
func (b *bench) engine() (err error) {
	b.say("starting a sandbox ...")
	if err := quiet(exec.CommandContext(b.ctx, "sandbox", "up", "--name", stack)); err != nil {
		return err
	}
	defer func() {
		// Also after an interrupt, which has ended the context.
		down := exec.CommandContext(context.WithoutCancel(b.ctx), "sandbox", "down", "--name", stack, "--purge")
		err = errors.Join(err, quiet(down))
	}()
	// Inside the checkout, because the engine looks at the git repository that a project lies in, and users' projects do.
	dir, err := os.MkdirTemp(filepath.Join(b.root, ".local"), "bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, floor := filepath.Join(dir, "program"), filepath.Join(dir, "floor")
	if err := errors.Join(b.project(program, b.root), b.floorProject(floor)); err != nil {
		return err
	}
	return b.operations(program, floor)
}

// operations measures them in the order in which a stack lives through them.
func (b *bench) operations(program, floor string) error {
	// Brings the plugin into the page cache, which is no part of what an up costs.
	if _, err := b.pulumi(program, "preview"); err != nil {
		return err
	}
	b.say("bringing the stack up ...")
	start := time.Now()
	full, err := b.pulumi(program, "up", "--yes", "--skip-preview")
	if err != nil {
		return err
	}
	state := filepath.Join(program, "state.json")
	if _, err := b.pulumi(program, "stack", "export", "--file", state); err != nil {
		return err
	}
	exported, err := os.ReadFile(state)
	if err != nil {
		return fmt.Errorf("read the exported state: %w", err)
	}
	if b.report.Path, b.report.Resources, err = criticalPath(exported, start); err != nil {
		return err
	}
	if err := b.warm(program, floor); err != nil {
		return err
	}
	b.say("destroying the stack ...")
	destroy, err := b.pulumi(program, "destroy", "--yes", "--skip-preview")
	if err != nil {
		return err
	}
	b.add(rowFullUp, full, "once; mostly waiting for simulated pods and disks")
	b.add(rowDestroy, destroy, "once; with Longhorn's uninstall hook")
	return nil
}

// warm measures what happens many times a day, in turns, so that whatever else the machine does meets all of them.
func (b *bench) warm(program, floor string) error {
	var floors, previews, ups []time.Duration
	operations := []struct {
		times   *[]time.Duration
		project string
		args    []string
	}{
		{&floors, floor, []string{"preview"}},
		{&previews, program, []string{"preview"}},
		{&ups, program, []string{"up", "--yes", "--skip-preview"}},
	}
	// The first round fills caches and builds what is not built yet.
	for round := range b.runs + 1 {
		b.say("measuring warm operations, round %d of %d ...", round, b.runs)
		for _, operation := range operations {
			took, err := b.pulumi(operation.project, operation.args...)
			if err != nil {
				return err
			}
			if round > 0 {
				*operation.times = append(*operation.times, took)
			}
		}
	}
	b.report.Ratio = ratio(previews, floors)
	remark := fmt.Sprintf("median of %d", b.runs)
	b.add(rowFloor, median(floors), remark)
	b.add(rowPreview, median(previews), fmt.Sprintf("%s; %.2f times the floor", remark, b.report.Ratio))
	b.add(rowNoOpUp, median(ups), remark)
	return nil
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio is the median of what the rounds say, each of its own floor: a machine that is slower for a while is so for both.
func ratio(times, floors []time.Duration) float64 {
	ratios := make([]float64, 0, len(times))
	for i, took := range times {
		ratios = append(ratios, took.Seconds()/floors[i].Seconds())
	}
	return median(ratios)
}

// emptyProgram is the engine's floor.
const emptyProgram = `package main

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

func main() { pulumi.Run(func(*pulumi.Context) error { return nil }) }
`

// floorProject makes the same project with an empty program: the same module requirements, settings and secret.
func (b *bench) floorProject(dir string) error {
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(source, "main.go"), []byte(emptyProgram), 0o600); err != nil {
		return fmt.Errorf("write the empty program: %w", err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.root, name))
		if err != nil {
			return fmt.Errorf("read requirements: %w", err)
		}
		if err := os.WriteFile(filepath.Join(source, name), content, 0o600); err != nil {
			return fmt.Errorf("write requirements: %w", err)
		}
	}
	return b.project(dir, source)
}

// project writes the project file, which points at the source, and the stack's settings.
func (b *bench) project(dir, source string) error {
	if err := os.MkdirAll(filepath.Join(dir, stateDir), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	content, err := os.ReadFile(filepath.Join(b.root, "Pulumi.yaml"))
	if err != nil {
		return fmt.Errorf("read project: %w", err)
	}
	var project map[string]any
	if err := yaml.Unmarshal(content, &project); err != nil {
		return fmt.Errorf("parse project: %w", err)
	}
	binary := filepath.Join(dir, "binary")
	project["main"] = source
	project["runtime"] = map[string]any{"name": "go", "options": map[string]any{"buildTarget": binary}}
	settings := map[string]any{"config": map[string]any{
		"ha-iris:cluster": map[string]any{
			"cloud": "existing", "context": "ha-iris-" + stack,
			"kubeconfigPath": filepath.Join(b.root, ".local", "sandbox", stack, "kubeconfig"),
		},
		"ha-iris:storage": map[string]any{"chart": filepath.Join(b.root, "sandbox", "charts", "longhorn")},
		"ha-iris:iris":    map[string]any{"protectData": false},
	}}
	for file, value := range map[string]any{"Pulumi.yaml": project, "Pulumi." + stack + ".yaml": settings} {
		encoded, err := yaml.Marshal(value)
		if err != nil {
			return fmt.Errorf("render %s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), encoded, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return b.prepare(dir, source, binary)
}

// prepare does what the first operation would otherwise be measured with and the following ones not: the build.
func (b *bench) prepare(dir, source, binary string) error {
	build := exec.CommandContext(b.ctx, "go", "build", "-o", binary, ".")
	build.Dir = source
	if err := quiet(build); err != nil {
		return err
	}
	if err := quiet(b.command(dir, "stack", "select", "--create", stack)); err != nil {
		return err
	}
	secret := b.command(dir, "config", "set", "--secret", "irisPassword", "--stack", stack)
	secret.Stdin = strings.NewReader(rand.Text())
	return quiet(secret)
}

// pulumi runs the CLI on a project's stack and returns how long it took.
func (b *bench) pulumi(project string, args ...string) (time.Duration, error) {
	command := b.command(project, append(args, "--stack", stack)...)
	start := time.Now()
	err := quiet(command)
	return time.Since(start), err
}

// command is the CLI in a project, whose state lies beside it: what a killed run leaves must not be measured by the next.
func (b *bench) command(project string, args ...string) *exec.Cmd {
	command := exec.CommandContext(b.ctx, "pulumi", args...)
	command.Dir = project
	command.Env = append(os.Environ(), "PULUMI_BACKEND_URL=file://"+filepath.Join(project, stateDir))
	return command
}

// quiet shows what a command prints only if it fails.
func quiet(command *exec.Cmd) error {
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, output)
	}
	return nil
}

// processor names the processor where the system tells.
func processor() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for line := range strings.Lines(string(content)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}
