package irisstandin

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ha-iris/sandbox/internal/testkit"
)

func TestStart_FirstCopiesAndWarmDoesNot(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_FIRST_START", "300ms")
	before := time.Now()
	b.start()
	if took := time.Since(before); took < 300*time.Millisecond {
		t.Errorf("the first start took %s", took)
	}
	b.log("copying the instance's data", "is up")
	for _, name := range []string{"iris.cpf", "csp/bin/CSP.ini", "mgr/user/IRIS.DAT", "mgr/journal", "mgr/ilock", "mgr/iris.ids", "mgr/user/iris.lck"} {
		if _, err := os.Stat(b.data(name)); err != nil {
			t.Error(err)
		}
	}
	if status := b.field(4); !strings.HasPrefix(status, "running, since ") {
		t.Errorf("status %q", status)
	}
	if health := b.field(9); health != "ok" {
		t.Errorf("health %q", health)
	}
	b.stop()
	if _, err := os.Stat(b.data("mgr/user/iris.lck")); err == nil {
		t.Error("an orderly stop left iris.lck")
	}
	second := b.start()
	b.log("is up")
	if out := second.out.String(); strings.Contains(out, "copying") || strings.Contains(out, "abnormal") {
		t.Error(out)
	}
}

func TestStart_RefusedWhereIRISRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(b *box)
		want    string
	}{
		"mount missing":   {func(b *box) { b.set("ISC_DATA_DIRECTORY", filepath.Join(b.dir, "missing/iris")) }, "durable folder does not exist"},
		"root of a mount": {func(b *box) { mkdir(b.t, b.data("lost+found")) }, "is not empty (lost+found)"},
		"too many cores":  {func(b *box) { b.set("IRIS_STANDIN_CORES", "24") }, "24 cores are visible"},
		"no space":        {func(b *box) { b.set("IRIS_STANDIN_MIN_FREE", "1000000000000000") }, "not enough space"},
		"bad value":       {func(b *box) { b.merge("[config]\ngmheap=1\n") }, "merge.cpf, line 4: [config] gmheap"},
		"bad line":        {func(b *box) { b.merge("ShutdownTimeout\n") }, "merge.cpf, line 3: ShutdownTimeout: neither"},
		"bad action":      {func(b *box) { b.merge("[Actions]\nMakeUser:Name=A\n") }, "line 4: MakeUser: not an action"},
		"--before fails":  {nil, "command of --before failed"},
		"--after fails":   {nil, "command of --after failed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			var arguments []string
			if option, _, found := strings.Cut(name, " fails"); found {
				arguments = []string{option, "exit 3"}
			}
			if test.prepare != nil {
				test.prepare(b)
			}
			r := b.main(arguments...)
			if code := b.wait(r); code == 0 {
				t.Error("exit code 0")
			}
			wantContains(t, r.out.String(), test.want)
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// As root every directory can be written, so a file in its place plays the one that cannot.
func TestDurable_NotWritable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Settings{DataDir: filepath.Join(dir, "file", "iris")}
	err := s.prepareDurable(t.Context(), &logger{out: &testkit.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "ERROR #5001: Cannot create target: "+s.DataDir) {
		t.Errorf("got %v", err)
	}
	if os.Getuid() == 0 {
		return
	}
	s.DataDir = filepath.Join(dir, "closed", "iris")
	mkdir(t, s.mgr())
	if err := os.Chmod(s.DataDir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(s.DataDir, 0o700) }()
	if err := s.prepareDurable(t.Context(), &logger{out: &testkit.Buffer{}}); err == nil {
		t.Error("a directory of somebody else was taken")
	}
}

func TestDurable_InterruptedCopyIsMadeAgain(t *testing.T) {
	b := newBox(t)
	mkdir(t, b.data("mgr/half"))
	if err := os.WriteFile(b.data(incompleteFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := b.start()
	wantContains(t, r.out.String(), "is incomplete: deleting it", "copying")
	if _, err := os.Stat(b.data("mgr/half")); err == nil {
		t.Error("the half copy is still there")
	}
}

func TestCapabilities_CheckedBeforeTheReleaseThatIgnoresThem(t *testing.T) {
	if err := checkCapabilities("2026.1.0.234.1", 0); err == nil || !strings.Contains(err.Error(), "CAP_SETGID, CAP_SETUID") {
		t.Errorf("got %v", err)
	}
	if err := checkCapabilities("2026.1.0.234.1", 0xc0); err != nil {
		t.Error(err)
	}
	if err := checkCapabilities("2026.2.0.221.0", 0); err != nil {
		t.Error(err)
	}
	if _, err := boundingSet("/proc/self/status"); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	o, err := parseMain([]string{"--check-caps", "false", "-a", "true", "--up=false", "--ISCAgentPort", "1", "-p", "f"})
	if err != nil || o.checkCaps || o.after != "true" || o.up || o.agentPort != 1 || o.passwordFile != "f" || !o.down {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"--nonsense", "1"}, {"--up", "perhaps"}, {"--key"}, {"word"}} {
		if _, err := parseMain(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestStart_SecondInstanceIsRefusedAndACrashLeavesNoLock(t *testing.T) {
	b := newBox(t)
	b.start()
	other := &box{t: t, dir: b.dir, env: b.env}
	r := other.main()
	if code := other.wait(r); code == 0 {
		t.Error("exit code 0")
	}
	host, _ := os.Hostname()
	wantContains(t, r.out.String(), "the instance is running on node "+host)
	b.kill()
	b.start()
	b.log("2 [Utility.Event] Previous system shutdown was abnormal")
	if health := b.field(9); health != "alert" {
		t.Errorf("health %q", health)
	}
}

func TestStart_RecoveryAdmitsNobody(t *testing.T) {
	b := newBox(t)
	b.start()
	b.kill()
	b.set("IRIS_STANDIN_RECOVERY", "1h")
	r := b.main()
	b.eventually("recovery", func() bool { return strings.HasPrefix(b.field(4), "sign-on inhibited") })
	out, code := b.iris("write 1\n", "session", "IRIS")
	if code != 239 {
		t.Errorf("exit code %d", code)
	}
	wantContains(t, out, "Sign-on inhibited: Startup or Installation in progress")
	_ = r.command.Process.Signal(syscall.SIGTERM) // A stop in the middle is a crash again, not a hang.
	if code := b.wait(r); code == 0 {
		t.Error("exit code 0")
	}
	b.set("IRIS_STANDIN_RECOVERY", "0s")
	b.start()
	b.log("Previous system shutdown was abnormal")
}

func TestStart_RunningShowsBeforeLoginsAreAdmitted(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_LOGIN_DELAY", "1h")
	b.main()
	b.eventually("running", func() bool { return strings.HasPrefix(b.field(4), "running, since") })
	if out, code := b.iris("write 1\n", "session", "IRIS"); code != 239 {
		t.Errorf("exit code %d: %s", code, out)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.super))
	if err != nil {
		t.Fatal(err) // 1972 listens already (facts 2.9).
	}
	_ = conn.Close()
}

func TestStart_UpFalse(t *testing.T) {
	b := newBox(t)
	b.main("--up", "false")
	b.eventually("the copy", func() bool { _, err := os.Stat(b.data("mgr", "user")); return err == nil })
	b.eventually("down", func() bool { return strings.HasPrefix(b.field(4), "down, last used ") })
	b.eventually("start", func() bool { _, code := b.iris("", "start", "IRIS"); return code == 0 })
	b.run("set ^a=1")
	b.stop()
	if found, _, err := (Settings{DataDir: b.data()}).readState(); err != nil || found.Running {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestStop_FromInsideEndsTheContainer(t *testing.T) {
	b := newBox(t)
	r := b.start()
	out, code := b.iris("", "stop", "iris", "quietly")
	if code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code := b.wait(r); code != 0 {
		t.Errorf("the container's exit code %d:\n%s", code, r.out)
	}
	if _, code := b.iris("", "stop", "iris", "quietly"); code == 0 {
		t.Error("stopped twice")
	}
}

func TestStop_SIGINTAndPrompt(t *testing.T) {
	b := newBox(t)
	r := b.start()
	if out, code := b.iris("no\n", "stop", "IRIS"); code == 0 {
		t.Error(out)
	}
	_ = r.command.Process.Signal(syscall.SIGINT)
	if code := b.wait(r); code != 0 {
		t.Error(r.out.String())
	}
}

func TestUpgrade_RefusedAfterAnUncleanStop(t *testing.T) {
	b := newBox(t)
	b.start()
	b.kill()
	b.install("2026.2.0.221.0", Community)
	r := b.main()
	if code := b.wait(r); code == 0 {
		t.Error("exit code 0")
	}
	wantContains(t, r.out.String(), "cannot upgrade from 2026.1.0.234.1 to 2026.2.0.221.0")
	b.install(DefaultVersion, Community)
	b.start()
	b.stop()
	b.install("2026.2.0.221.0", Community)
	b.start()
	b.log("Upgrading the instance's data")
	b.stop()
	b.install(DefaultVersion, Community)
	r = b.main()
	if code := b.wait(r); code == 0 {
		t.Error("a downgrade was taken")
	}
}

func TestHost_ChangeIsTakenForAFailover(t *testing.T) {
	b := newBox(t)
	b.start()
	b.stop()
	s := Settings{DataDir: b.data()}
	if err := s.writeState(state{Version: DefaultVersion, Host: "another"}); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.log("2 [Utility.Event] The system appears to have failed over from node another")
	if health := b.field(9); health != "warn" {
		t.Errorf("health %q", health)
	}
	b.run(`zn "%SYS" do ##class(SYS.Container).PreventFailoverMessage()`)
	b.stop()
	if last, _, err := s.readState(); err != nil || last.Host != "" {
		t.Errorf("the host is remembered: %+v, %v", last, err)
	}
}

func TestKey_CopiedWatchedAndIgnoredByCommunity(t *testing.T) {
	b := newBox(t)
	key := filepath.Join(b.dir, "iris.key")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(text string) bool {
		content, err := os.ReadFile(b.data("mgr/iris.key"))
		return err == nil && string(content) == text
	}
	write("one")
	b.start("--key", key)
	b.log("accepts only a Community key")
	b.stop()
	if holds("one") {
		t.Error("the Community Edition took the key")
	}
	b.install(DefaultVersion, Licensed)
	b.start("--key", key)
	if !holds("one") {
		t.Error("the key is not in mgr/")
	}
	write("two")
	b.eventually("the new key", func() bool { return holds("two") })
	b.stop()
	// What changes while the instance starts is a change too.
	b.start("--key", key, "--before", "printf three > "+key)
	b.eventually("the key that came during the start", func() bool { return holds("three") })
}

func TestInstall_Command(t *testing.T) {
	dir := t.TempDir()
	if code := Run("iris-standin", []string{"install", dir, "2025.1.0.1", "licensed"}, Streams{Out: &testkit.Buffer{}, Err: &testkit.Buffer{}}); code != 0 {
		t.Fatal(code)
	}
	if found, err := readInstallation(dir); err != nil || found.Version != "2025.1.0.1" || found.Edition != Licensed {
		t.Errorf("%+v, %v", found, err)
	}
	if code := Run("iris-standin", nil, Streams{Out: &testkit.Buffer{}, Err: &testkit.Buffer{}}); code == 0 {
		t.Error("no arguments were taken")
	}
}
