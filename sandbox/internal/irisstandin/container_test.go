package irisstandin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ha-iris/sandbox/internal/testkit"
)

// TestMain makes the test's own binary the program: what it is called decides.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); name {
	case "iris-main", "iris", "irisdb":
		os.Exit(Run(name, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

// box is a container's file system and environment, without a container.
type box struct {
	t       *testing.T
	dir     string
	env     []string
	web     int
	super   int
	running *run
}

// run is one run of iris-main.
type run struct {
	command *exec.Cmd
	out     *testkit.Buffer
	ended   chan int
}

// newBox is a Community installation, a volume and a merge file that only moves the superserver's port out of the way.
func newBox(t *testing.T) *box {
	t.Helper()
	dir, err := os.MkdirTemp("", "iris") // t.TempDir is too long for a socket's path.
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, dir: dir, web: testkit.Port(t), super: testkit.Port(t)}
	t.Cleanup(func() {
		b.kill()
		_ = os.RemoveAll(dir)
	})
	b.install(DefaultVersion, Community)
	for _, name := range []string{"volume", "home"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.merge("")
	b.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"ISC_PACKAGE_INSTALLDIR=" + filepath.Join(dir, "irissys"),
		"ISC_DATA_DIRECTORY=" + b.data(),
		"ISC_CPF_MERGE_FILE=" + filepath.Join(dir, "merge.cpf"),
		"IRIS_STANDIN_BIND=127.0.0.1",
		fmt.Sprintf("IRIS_STANDIN_WEB_PORT=%d", b.web),
		"IRIS_STANDIN_CORES=2", "IRIS_STANDIN_FIRST_START=0s", "IRIS_STANDIN_WARM_START=0s", "IRIS_STANDIN_RECOVERY=0s",
		"IRIS_STANDIN_STOP=0s", "IRIS_STANDIN_LOGIN_DELAY=0s", "IRIS_STANDIN_WATCH=20ms", "IRIS_STANDIN_RELOAD=20ms", "IRIS_STANDIN_MIN_FREE=0",
	}
	return b
}

func (b *box) install(version string, edition Edition) {
	b.t.Helper()
	if err := Install(filepath.Join(b.dir, "irissys"), version, edition); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) data(elements ...string) string {
	return filepath.Join(append([]string{b.dir, "volume", "iris"}, elements...)...)
}

// merge writes the merge file in one step.
func (b *box) merge(text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, "merge.cpf")
	content := fmt.Sprintf("[Startup]\nDefaultPort=%d\n%s", b.super, text)
	if err := errors.Join(os.WriteFile(path+".new", []byte(content), 0o600), os.Rename(path+".new", path)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) set(name, value string) { b.env = append(b.env, name+"="+value) }

// main starts iris-main without waiting.
func (b *box) main(arguments ...string) *run {
	b.t.Helper()
	program, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	r := &run{out: &testkit.Buffer{}, ended: make(chan int, 1)}
	r.command = &exec.Cmd{
		Path: program, Args: append([]string{"iris-main", "--check-caps", "false", "--ISCAgent", "false"}, arguments...),
		Env: b.env, Stdout: r.out, Stderr: r.out, WaitDelay: time.Second,
	}
	if err := r.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = r.command.Wait()
		r.ended <- r.command.ProcessState.ExitCode()
	}()
	b.running = r
	return r
}

// start starts iris-main and waits for the instance.
func (b *box) start(arguments ...string) *run {
	b.t.Helper()
	r := b.main(arguments...)
	b.eventually("the instance runs", func() bool {
		if len(r.ended) > 0 {
			b.t.Fatalf("iris-main ended:\n%s", r.out)
		}
		return strings.Contains(r.out.String(), "started InterSystems IRIS instance")
	})
	return r
}

func (b *box) eventually(what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			out := ""
			if b.running != nil {
				out = b.running.out.String()
			}
			b.t.Fatalf("not within a minute: %s\n%s", what, out)
		}
	}
}

func (b *box) wait(r *run) int {
	b.t.Helper()
	select {
	case code := <-r.ended:
		b.running = nil
		return code
	case <-time.After(time.Minute):
		b.t.Fatalf("iris-main does not end:\n%s", r.out)
		return -1
	}
}

// stop ends the container as a runtime does.
func (b *box) stop() {
	b.t.Helper()
	r := b.running
	_ = r.command.Process.Signal(syscall.SIGTERM)
	if code := b.wait(r); code != 0 {
		b.t.Fatalf("exit code %d:\n%s", code, r.out)
	}
}

// kill ends every process at once, as the end of a machine does.
func (b *box) kill() {
	if b.running == nil {
		return
	}
	_ = b.running.command.Process.Kill()
	_ = killInstance(b.dir)
	<-b.running.ended
	b.running = nil
}

// killInstance finds irisdb by the installation that it has in its environment.
func killInstance(dir string) error {
	entries, err := os.ReadDir("/proc")
	for _, entry := range entries {
		environment, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if bytes.HasPrefix(line, []byte("irisdb\x00")) && bytes.Contains(environment, []byte("="+dir+"/irissys\x00")) {
			var pid int
			_, _ = fmt.Sscan(entry.Name(), &pid)
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
			for syscall.Kill(pid, 0) == nil && !zombie(pid) {
				time.Sleep(time.Millisecond)
			}
		}
	}
	return err
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// command is a call of iris.
func (b *box) command(input string, arguments ...string) *exec.Cmd {
	b.t.Helper()
	program, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	return &exec.Cmd{Path: program, Args: append([]string{"iris"}, arguments...), Env: b.env, Stdin: strings.NewReader(input)}
}

// iris runs the command iris and returns what it prints and its exit code.
func (b *box) iris(input string, arguments ...string) (string, int) {
	b.t.Helper()
	command := b.command(input, arguments...)
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// run runs lines in USER and returns what they print.
func (b *box) run(lines ...string) string {
	b.t.Helper()
	out, code := b.iris(strings.Join(lines, "\n")+"\n", "session", "IRIS")
	if code != 0 {
		b.t.Fatalf("session: exit code %d: %s", code, out)
	}
	return out
}

func (b *box) field(number int) string {
	b.t.Helper()
	out, _ := b.iris("", "qlist", "iris")
	fields := strings.Split(strings.TrimSuffix(out, "\n"), "^")
	if len(fields) != 14 {
		b.t.Fatalf("qlist has %d fields: %s", len(fields), out)
	}
	return fields[number-1]
}

// log waits for texts in the container's log, which follows messages.log.
func (b *box) log(parts ...string) {
	b.t.Helper()
	for _, part := range parts {
		b.eventually("log has "+part, func() bool { return strings.Contains(b.running.out.String(), part) })
	}
}

func wantContains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}
