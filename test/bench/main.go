// Command bench measures the program on this machine: its cold build, and preview, up and destroy on a sandbox of its own,
// beside what the engine costs with an empty program. `make bench` runs it in the right environment.
package main

import (
	"context"
	"errors"
	"flag"
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
)

const stack = "bench"

func main() {
	runs := flag.Int("runs", 5, "how often each warm operation is measured; the median counts")
	cold := flag.Bool("cold", true, "measure the cold build too, which takes minutes")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *runs, *cold); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is a line of the table.
type row struct{ name, value, remark string }

func run(ctx context.Context, out io.Writer, runs int, cold bool) (err error) {
	b := &bench{ctx: ctx, runs: runs}
	if b.root, err = os.Getwd(); err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	if cold {
		if err := b.coldBuild(); err != nil {
			return err
		}
	}
	if err := b.engine(); err != nil {
		return err
	}
	table := fmt.Sprintf("%s/%s, %d cores, %s, %s\n\n| what | measured | remark |\n|---|---|---|\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
	for _, r := range b.rows {
		table += fmt.Sprintf("| %s | %s | %s |\n", r.name, r.value, r.remark)
	}
	if _, err := io.WriteString(out, table); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	return nil
}

type bench struct {
	ctx  context.Context
	root string
	runs int
	rows []row
}

func (b *bench) add(name, value, remark string) { b.rows = append(b.rows, row{name, value, remark}) }

// coldBuild builds the program with an empty cache. Peak memory is that of the largest process, a compiler.
func (b *bench) coldBuild() (err error) {
	dir, err := os.MkdirTemp("", "ha-iris-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(os.Stderr, "bench: building the program with an empty cache, some minutes ...")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", filepath.Join(dir, "program"), ".")
	build.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"))
	build.Stderr = os.Stderr
	start := time.Now()
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the program: %w", err)
	}
	took := time.Since(start)
	peak := "unknown"
	if usage, ok := build.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = fmt.Sprintf("%.2f GB", float64(usage.Maxrss)/1e6) // Linux counts in KiB; 1e6 of them is GB to within 3 %.
	}
	b.add("cold build of the program", took.Round(time.Second).String(), "empty GOCACHE, modules downloaded")
	b.add("... peak memory", peak, "largest process")
	return nil
}

// engine measures the operations on a sandbox.
func (b *bench) engine() (err error) {
	if err := b.quiet("sandbox", "up", "--name", stack); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.quiet("sandbox", "down", "--name", stack, "--purge")) }()
	project, err := b.project()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(project)) }()
	floorProject := filepath.Join(b.root, "test", "bench", "floor")
	for _, dir := range []string{floorProject, project} {
		if err := b.quiet("pulumi", "stack", "select", "--create", stack, "--cwd", dir); err != nil {
			return err
		}
	}
	if err := b.quiet("pulumi", "config", "set", "--secret", "irisPassword", "Bench-"+time.Now().Format("150405"), "--stack", stack, "--cwd", project); err != nil {
		return err
	}
	up, err := b.time("pulumi", "up", "--yes", "--skip-preview", "--stack", stack, "--cwd", project)
	if err != nil {
		return err
	}
	if err := b.warm(floorProject, project); err != nil {
		return err
	}
	destroy, err := b.time("pulumi", "destroy", "--yes", "--skip-preview", "--stack", stack, "--cwd", project)
	if err != nil {
		return err
	}
	b.add("full `up` on the sandbox", seconds(up), "once; mostly waiting for simulated pods and disks")
	b.add("`destroy` on the sandbox", seconds(destroy), "once; with Longhorn's uninstall hook")
	return nil
}

// warm measures what happens many times a day.
func (b *bench) warm(floorProject, project string) error {
	floor, err := b.median("pulumi", "preview", "--stack", stack, "--cwd", floorProject)
	if err != nil {
		return err
	}
	preview, err := b.median("pulumi", "preview", "--stack", stack, "--cwd", project)
	if err != nil {
		return err
	}
	again, err := b.median("pulumi", "up", "--yes", "--skip-preview", "--stack", stack, "--cwd", project)
	if err != nil {
		return err
	}
	remark := fmt.Sprintf("median of %d", b.runs)
	b.add("engine's floor: `preview` of an empty program", seconds(floor), remark)
	b.add("warm `preview`", seconds(preview), fmt.Sprintf("%s; %.2f times the floor", remark, preview.Seconds()/floor.Seconds()))
	b.add("no-op `up`", seconds(again), remark)
	return nil
}

// project makes a copy of the project whose stack settings nobody else uses. The program is the checkout's.
func (b *bench) project() (string, error) {
	dir, err := os.MkdirTemp("", "ha-iris-bench-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	content, err := os.ReadFile("Pulumi.yaml")
	if err != nil {
		return "", fmt.Errorf("read project: %w", err)
	}
	binary := filepath.Join(dir, "program")
	if err := b.quiet("go", "build", "-o", binary, "."); err != nil {
		return "", err
	}
	settings := strings.Replace(string(content), "buildTarget: .local/bin/ha-iris", "binary: "+binary, 1)
	stackFile := fmt.Sprintf(`config:
  ha-iris:cluster: {cloud: existing, kubeconfigPath: %q, context: ha-iris-bench}
  ha-iris:storage: {chart: %q}
  ha-iris:iris: {protectData: false}
`, filepath.Join(b.root, ".local", "sandbox", stack, "kubeconfig"), filepath.Join(b.root, "sandbox", "charts", "longhorn"))
	for name, text := range map[string]string{"Pulumi.yaml": settings, "Pulumi." + stack + ".yaml": stackFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write %s: %w", name, err)
		}
	}
	return dir, nil
}

func (b *bench) median(name string, args ...string) (time.Duration, error) {
	times := make([]time.Duration, 0, b.runs)
	for range b.runs {
		took, err := b.time(name, args...)
		if err != nil {
			return 0, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func (b *bench) time(name string, args ...string) (time.Duration, error) {
	start := time.Now()
	err := b.quiet(name, args...)
	return time.Since(start), err
}

func (b *bench) quiet(name string, args ...string) error {
	output, err := exec.CommandContext(b.ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, output)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// processor names the processor where the system tells.
func processor() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for _, line := range strings.Split(string(content), "\n") {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}
