package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// command is a program that is run.
type command struct {
	program string
	args    []string
	dir     string
	stdin   string
	// log is a file for what it prints; empty: none. shown prints it too.
	log   string
	shown bool
}

// run runs a program in a process group of its own, so that Ctrl-C reaches it once, through the context: it is told to end and may
// clean up. It returns what it printed; a failure has that in its error.
func (b *bench) run(ctx context.Context, c command) (said string, err error) {
	process := exec.CommandContext(ctx, c.program, c.args...)
	process.Dir = c.dir
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = 30 * time.Minute // The drill gives back a node and waits for it.
	process.Env = append(os.Environ(), "PULUMI_BACKEND_URL=file://"+filepath.Join(b.dir, "stack", "state"))
	process.Stdin = strings.NewReader(c.stdin)
	var text strings.Builder
	sinks := []io.Writer{&text}
	if c.log != "" {
		file, failed := os.Create(c.log)
		if failed != nil {
			return "", fmt.Errorf("keep what %s says: %w", c.program, failed)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		sinks = append(sinks, file)
	}
	if c.shown {
		sinks = append(sinks, b.progress)
	}
	process.Stdout = io.MultiWriter(sinks...)
	process.Stderr = process.Stdout
	if err := process.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.program), strings.Join(c.args, " "), err, text.String())
	}
	return text.String(), nil
}

// mine is the file that says that the lab is this directory's.
func (b *bench) mine() string { return filepath.Join(b.dir, "lab") }

// owns refuses a sandbox that somebody else has made under the lab's name.
func (b *bench) owns() error {
	_, err := os.Stat(filepath.Join(b.root, ".local", "sandbox", b.lab))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the lab: %w", err)
	}
	if name, err := os.ReadFile(b.mine()); err == nil && string(name) == b.lab {
		return nil
	}
	return fmt.Errorf("there is a sandbox %q already that is not of these results: choose another --lab, or sandbox down --name %s --purge",
		b.lab, b.lab)
}

// build builds what is run: the drill, whose exit code `go run` would hide, and the program.
func (b *bench) build(ctx context.Context) error {
	for name, source := range map[string]string{"drill": "./ops/drill", "program": "."} {
		built := command{program: "go", args: []string{"build", "-o", filepath.Join(b.dir, "bin", name), source}, dir: b.root}
		if _, err := b.run(ctx, built); err != nil {
			return err
		}
	}
	_, err := b.run(ctx, b.sandbox("tools", "lab"))
	return err
}

func (b *bench) sandbox(args ...string) command {
	return command{program: "sandbox", args: args, dir: b.root}
}

func (b *bench) kubectl(args ...string) command {
	return command{program: "kubectl", args: append([]string{"--kubeconfig", b.kubeconfig()}, args...), dir: b.root}
}

func (b *bench) kubeconfig() string {
	return filepath.Join(b.root, ".local", "sandbox", b.lab, "kubeconfig")
}

// remove deletes the lab, also after an interrupt, and the stack's state, which is of nothing then.
func (b *bench) remove(ctx context.Context) error {
	b.fresh, b.on = false, ""
	if _, err := b.run(context.WithoutCancel(ctx), b.sandbox("down", "--name", b.lab, "--purge")); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(filepath.Join(b.dir, "stack")), os.RemoveAll(b.mine()))
}

// prepare brings a new lab up, and the set-up on it.
func (b *bench) prepare(ctx context.Context, setup string) error {
	if err := b.remove(ctx); err != nil {
		return err
	}
	b.say("%s: bringing the lab %q and the stack up", setup, b.lab)
	if err := os.WriteFile(b.mine(), []byte(b.lab), 0o600); err != nil {
		return fmt.Errorf("note whose the lab is: %w", err)
	}
	dir := filepath.Join(b.dir, "stack")
	if err := b.project(dir, setup); err != nil {
		return err
	}
	inStack := func(args ...string) command { return command{program: "pulumi", args: args, dir: dir} }
	password := inStack("config", "set", "--secret", "irisPassword", "--stack", stackName)
	password.stdin = rand.Text()
	steps := []command{
		b.sandbox("up", "--name", b.lab, "--nodes", "real"), inStack("stack", "select", "--create", stackName), password,
		inStack("up", "--yes", "--skip-preview", "--stack", stackName),
	}
	if setup == article {
		steps = append(steps, b.article()...)
	}
	for _, step := range steps {
		if _, err := b.run(ctx, step); err != nil {
			return fmt.Errorf("bring up: %w", err)
		}
	}
	b.fresh, b.on = true, setup
	return b.healthy(ctx, setup)
}

// longhornDefaults are Longhorn's own where this program has others (storage/longhorn_values.go): the article sets none.
func longhornDefaults() object {
	return object{
		"nodeDownPodDeletionPolicy": "do-nothing", "replicaAutoBalance": "disabled", "allowVolumeCreationWithDegradedAvailability": true,
		"concurrentAutomaticEngineUpgradePerNodeLimit": 0, "orphanResourceAutoDeletion": "",
	}
}

// article puts the article's manifests beside a database of ours, which is stopped.
// Without fsGroup its pod never starts (TestLab_Article): it is added, or there would be nothing to compare.
func (b *bench) article() []command {
	const group = `{"spec":{"template":{"spec":{"securityContext":{"fsGroup":51773}}}}}`
	return []command{
		b.kubectl("-n", "iris", "scale", "deployment/iris", "--replicas=0"),
		b.kubectl("create", "namespace", article),
		b.kubectl("-n", article, "apply", "-f", filepath.Join(b.root, "test", "e2e", "testdata", "article")),
		b.kubectl("-n", article, "patch", "deployment", "iris", "--type=strategic", "-p", group),
		b.kubectl("-n", article, "set", "image", "deployment/iris", "iris="+database),
		b.kubectl("-n", article, "rollout", "status", "deployment/iris", "--timeout=300s"),
	}
}

// healthy waits until the database's volume has all its replicas. The drill looks at the rest.
func (b *bench) healthy(ctx context.Context, setup string) error {
	namespace := "iris"
	if setup == article {
		namespace = article
	}
	volume, err := b.run(ctx, b.kubectl("-n", namespace, "get", "pvc", "iris-pvc", "-o", "jsonpath={.spec.volumeName}"))
	if err != nil {
		return err
	}
	_, err = b.run(ctx, b.kubectl("-n", "longhorn-system", "wait", "volumes.longhorn.io", volume, "--for=jsonpath={.status.robustness}=healthy",
		"--timeout=600s"))
	return err
}

const (
	stackName = "bench-failover"
	// database is the stand-in that runs 10 s after a crash, which the project's goals count for IRIS (sandbox/README.md).
	database = "ha-iris.local/iris-standin-10s:2026.1.0.234.1"
)

// project writes a Pulumi project with the built program and the set-up's settings.
func (b *bench) project(dir, setup string) error {
	project, err := readYAML(filepath.Join(b.root, "Pulumi.yaml"))
	if err != nil {
		return err
	}
	project["runtime"] = object{"name": "go", "options": object{"binary": filepath.Join(b.dir, "bin", "program")}}
	settings, err := b.settings(setup)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o755); err != nil {
		return fmt.Errorf("make the project's directory: %w", err)
	}
	for file, value := range map[string]object{"Pulumi.yaml": project, "Pulumi." + stackName + ".yaml": {"config": settings}} {
		encoded, err := yaml.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), encoded, 0o600)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

type object = map[string]any

func readYAML(path string) (object, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a project's file: %w", err)
	}
	var read object
	if err := yaml.Unmarshal(content, &read); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return read, nil
}

// settings are the lab's (Pulumi.lab.yaml) but for its name and what is compared.
func (b *bench) settings(setup string) (object, error) {
	file, err := readYAML(filepath.Join(b.root, "Pulumi.lab.yaml"))
	if err != nil {
		return nil, err
	}
	config, _ := file["config"].(object)
	settings := object{}
	for _, name := range []string{"cluster", "storage", "iris", "failover"} {
		section, found := config["ha-iris:"+name].(object)
		if !found {
			return nil, fmt.Errorf("there is no ha-iris:%s in Pulumi.lab.yaml", name)
		}
		settings["ha-iris:"+name] = section
	}
	of := func(name string) object { return settings["ha-iris:"+name].(object) } //nolint:forcetypeassert // As just put there.
	of("cluster")["kubeconfigPath"], of("cluster")["context"] = b.kubeconfig(), "ha-iris-"+b.lab
	of("storage")["chart"] = filepath.Join(b.root, "sandbox", "charts", "longhorn")
	of("iris")["image"] = database
	of("failover")["mode"] = guarded
	if setup != guarded {
		settings["ha-iris:failover"] = object{"mode": longhorn}
	}
	if setup == article {
		of("storage")["values"] = object{"defaultSettings": longhornDefaults()}
	}
	if b.commit == commitSynchronous && setup != article {
		of("iris")["synchronousCommit"] = true
	}
	return settings, nil
}
