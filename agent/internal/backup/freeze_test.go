//go:build unix

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// container runs the script as the database's container does, against an `iris` that keeps its state in files.
type container struct {
	t     *testing.T
	path  string
	state string
	// lingers is how long it is waited, as by a container's runtime, until nobody holds the output open any more: the dead man must not.
	lingers time.Duration
}

// stubIRIS answers as the vendor's class methods do: 5 and 3. Files in its directory change that: fail-freeze and fail-thaw are exit codes,
// fail-thaw is used up once, silent answers nothing, slow is how long a freeze takes. While there is hold a freeze does not begin, and while there
// is halt a session that has looked whether it is frozen does not end; halting says that there is one, and freezer which process freezes.
const stubIRIS = `#!/bin/sh
cd "$(dirname "$0")/../state" || exit 1
echo "$*" >>calls
[ "$1 $2" = "session IRIS" ] || exit 64
for last; do :; done
case $last in
*IsWDSuspendedExt*)
	[ -e silent ] && exit 1
	code=3
	[ -e frozen ] && code=5
	while [ -e halt ]; do
		: >halting
		sleep 0.1
	done
	exit $code
	;;
*ExternalFreeze*)
	echo $$ >freezer
	while [ -e hold ]; do sleep 0.1; done
	[ -e slow ] && read -r long <slow && sleep "$long"
	[ -e fail-freeze ] && read -r code <fail-freeze && exit "$code"
	[ -e frozen ] && exit 3
	: >frozen
	exit 5
	;;
*ExternalThaw*)
	[ -e fail-thaw ] && read -r code <fail-thaw && rm fail-thaw && exit "$code"
	rm -f frozen
	exit 5
	;;
esac
exit 65
`

func newContainer(t *testing.T) *container {
	t.Helper()
	root := t.TempDir()
	c := &container{t: t, path: filepath.Join(root, "bin"), state: filepath.Join(root, "state"), lingers: 30 * time.Second}
	for _, dir := range []string{c.path, c.state} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.path, "iris"), []byte(stubIRIS), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "sleep", "mv", "rm", "dirname"} { // dirname is the stub's.
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(c.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *container) Exec(ctx context.Context, _ string, command []string) (string, int, error) {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Env = []string{"PATH=" + c.path, "TMPDIR=" + c.state}
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	process.WaitDelay = c.lingers
	err := process.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return output.String(), exit.ExitCode(), nil
	}
	return output.String(), 0, err
}

func (c *container) ask(want answer, arguments ...string) {
	c.t.Helper()
	if got, said := ask(c.t.Context(), c, 20*time.Second, "", arguments...); got != want {
		c.t.Errorf("%v: got %d (%s), want %d", arguments, got, said, want)
	}
}

// put writes a file of the stub's.
func (c *container) put(name, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.state, name), []byte(content+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) remove(name string) {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.state, name)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) has(name string) bool {
	_, err := os.Stat(filepath.Join(c.state, name))
	return err == nil
}

func (c *container) frozen() bool { return c.has("frozen") }

// token is a run's.
const token = "iris-consistent-1"

func (c *container) mark(token string) string { return filepath.Join(c.state, "ha-iris-freeze."+token) }

func (c *container) marked(token string) bool {
	_, err := os.Stat(c.mark(token))
	return err == nil
}

func (c *container) eventually(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("never: %s", what)
		}
	}
}

func TestScript_FreezesAndThaws(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", token, "60")
	if !c.frozen() || !c.marked(token) {
		t.Error("it is not frozen, or has no mark")
	}
	c.ask(answerOthers, "freeze", token+"-2", "60") // Another run.
	c.ask(answerOthers, "thaw", token+"-2")
	if !c.frozen() {
		t.Error("another run has thawed")
	}
	c.ask(answerDone, "thaw", token)
	if c.frozen() || c.marked(token) {
		t.Error("it is frozen, or has a mark")
	}
	c.ask(answerLapsed, "thaw", token)
}

func TestScript_AFreezeThatFails(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.put("fail-freeze", "3")
	c.ask(answerFailed, "freeze", token, "60")
	if c.marked(token) {
		t.Error("it left a mark")
	}
	c.put("fail-freeze", "1") // IRIS went away in the middle: nobody knows, and the dead man stays.
	c.ask(answerSilent, "freeze", token, "60")
	if !c.marked(token) {
		t.Error("it left no mark")
	}
	c.ask(answerLapsed, "thaw", token)
	c.put("silent", "")
	c.ask(answerSilent, "freeze", token, "60")
	c.ask(answerSilent, "thaw", token)
}

// A thaw that fails once is done by the emergency access, and one that does not is told.
func TestScript_AThawThatFails(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", token, "60")
	c.put("fail-thaw", "3")
	c.ask(answerDone, "thaw", token)
	calls, err := os.ReadFile(filepath.Join(c.state, "calls"))
	if err != nil || !strings.Contains(string(calls), "session IRIS -B -U%SYS ##Class(Backup.General).ExternalThaw()") {
		t.Errorf("the calls are %s, %v", calls, err)
	}
}

func TestScript_TheDeadManThaws(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", token, "1")
	c.put("silent", "") // IRIS does not answer at first.
	time.Sleep(1500 * time.Millisecond)
	if !c.marked(token) {
		t.Error("the dead man has given up")
	}
	c.remove("silent")
	c.eventually("thawed", func() bool { return !c.frozen() })
	c.eventually("the mark is gone", func() bool { return !c.marked(token) })
	c.ask(answerLapsed, "thaw", token)
}

// The dead man of a freeze that was thawed in order leaves the next one alone.
func TestScript_TheDeadManEndsItsOwnFreezeOnly(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", token, "1")
	c.ask(answerDone, "thaw", token)
	c.put("frozen", "") // Somebody else's.
	time.Sleep(2500 * time.Millisecond)
	if !c.frozen() {
		t.Error("it was thawed")
	}
}

// The connection breaks while IRIS is about to freeze: the freeze comes later, and whoever thaws too early does not disarm the dead man.
func TestScript_KilledInTheMiddleOfTheFreeze(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.put("slow", "5")
	c.lingers = 10 * time.Millisecond
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	ended := make(chan answer)
	go func() {
		got, _ := ask(ctx, c, 20*time.Second, "", "freeze", token, "6")
		ended <- got
	}()
	c.eventually("the freeze is begun", func() bool {
		calls, err := os.ReadFile(filepath.Join(c.state, "calls"))
		return err == nil && strings.Contains(string(calls), "ExternalFreeze")
	})
	kill()
	if got := <-ended; got != answerNone {
		t.Errorf("got %d", got)
	}
	c.lingers = 30 * time.Second
	c.ask(answerFreezing, "thaw", token)
	c.eventually("the freeze", c.frozen)
	c.eventually("the dead man", func() bool { return !c.frozen() && !c.marked(token) })
}

// begins starts a freeze whose shell is gone. The mark names its process, of which nothing is left once it has ended: end waits for that, as
// the container's first process does.
func (c *container) begins(token, deadMan string) (end func()) {
	c.t.Helper()
	c.put("hold", "")
	freeze := exec.Command(filepath.Join(c.path, "iris"), "session", "IRIS", "-U%SYS", "##Class(Backup.General).ExternalFreeze()")
	freeze.Env = []string{"PATH=" + c.path}
	if err := freeze.Start(); err != nil {
		c.t.Fatal(err)
	}
	line := fmt.Sprintf("freezing %d %s\n", freeze.Process.Pid, deadMan)
	if err := os.WriteFile(c.mark(token), []byte(line), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		c.remove("hold")
		if err := freeze.Wait(); freeze.ProcessState.ExitCode() != 5 {
			c.t.Errorf("the freeze ended with %v", err)
		}
	}
}

// IRIS has said that it is not frozen, and before that session has ended the freeze comes into force and its process ends.
func TestScript_AFreezeThatComesWhileTheThawLooks(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	end := c.begins(token, "")
	c.put("halt", "")
	thawed := make(chan struct{})
	go func() {
		defer close(thawed)
		c.ask(answerFreezing, "thaw", token)
	}()
	c.eventually("the thaw has looked", func() bool { return c.has("halting") })
	end()
	c.remove("halt")
	<-thawed
	if !c.frozen() || !c.marked(token) {
		t.Fatal("nothing tells the dead man of the freeze")
	}
	c.ask(answerDone, "thaw", token)
	if c.frozen() || c.marked(token) {
		t.Error("it is frozen, or has a mark")
	}
}

func TestScript_AFreezeThatComesWhileTheDeadManLooks(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", token, "2")
	c.remove("frozen")
	end := c.begins(token, "")
	c.put("halt", "")
	c.eventually("the dead man has looked", func() bool { return c.has("halting") })
	end()
	c.remove("halt")
	c.eventually("the dead man has thawed", func() bool { return !c.frozen() && !c.marked(token) })
}

// A thaw in the middle of the freeze leaves the mark until its process has ended.
func TestScript_AThawBeforeTheFreezeHasEnded(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	end := c.begins(token, "")
	c.put("frozen", "")
	c.ask(answerFreezing, "thaw", token)
	if c.frozen() || !c.marked(token) {
		t.Error("it is frozen, or has no mark")
	}
	end()
	c.ask(answerDone, "thaw", token)
}

// From before the freeze on the mark names the process that freezes, and the dead man. No other one has to take its place.
func TestScript_TheMarkNamesTheProcessThatFreezes(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.put("hold", "")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.ask(answerDone, "freeze", token, "60")
	}()
	defer func() {
		_ = os.Remove(filepath.Join(c.state, "hold"))
		<-ended
	}()
	c.eventually("the freeze is begun", func() bool { return c.has("freezer") })
	freezer, err := os.ReadFile(filepath.Join(c.state, "freezer"))
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(c.mark(token))
	fields := strings.Fields(string(line))
	if err != nil || len(fields) != 3 || fields[0] != "freezing" || fields[1] != strings.TrimSpace(string(freezer)) {
		t.Fatalf("the mark is %q, %v, and the process %s", line, err, freezer)
	}
	deadMan, err := strconv.Atoi(fields[2])
	if err != nil || syscall.Kill(deadMan, 0) != nil {
		t.Errorf("there is no dead man %s", fields[2])
	}
	c.remove("hold")
	<-ended
	if line, err = os.ReadFile(c.mark(token)); string(line) != "frozen 0 "+fields[2]+"\n" {
		t.Errorf("the mark is %q, %v", line, err)
	}
	c.ask(answerDone, "thaw", token)
}

// Killed before anything was frozen, the mark goes with the next thaw.
func TestScript_AMarkWithoutAFreezeIsTakenAway(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.mark(token), []byte("freezing "+strconv.Itoa(gone.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.ask(answerLapsed, "thaw", token)
	if c.marked(token) {
		t.Error("the mark is still there")
	}
}

// leaves makes a mark whose dead man is gone.
func (c *container) leaves(token string) {
	c.t.Helper()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.mark(token), fmt.Appendf(nil, "frozen 0 %d\n", gone.Process.Pid), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// A freeze of an earlier run whose dead man was killed has nobody else who would end it.
func TestScript_EndsTheFreezeThatAnEarlierRunHasLeft(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.put("frozen", "")
	c.leaves("earlier")
	c.put("fail-thaw", "3") // The emergency access is tried, as in a thaw.
	c.ask(answerDone, "freeze", token, "60")
	if !c.frozen() || !c.marked(token) || c.marked("earlier") {
		t.Error("it is not frozen by this run")
	}
	c.ask(answerDone, "thaw", token)
}

// A dead man who is there thaws in his time, and whose freeze it is nobody knows then.
func TestScript_LeavesARunAloneThatMayBeAlive(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.ask(answerDone, "freeze", "another", "60")
	c.leaves("earlier")
	c.ask(answerOthers, "freeze", token, "60")
	if !c.frozen() || !c.marked("another") || !c.marked("earlier") {
		t.Error("it was thawed, or a mark is gone")
	}
	c.ask(answerDone, "thaw", "another")
}

// The file of a run whose freeze is over must not pass for somebody else's freeze later on.
func TestScript_TakesAwayTheFilesOfRunsThatAreOver(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.leaves("earlier")
	c.ask(answerDone, "freeze", token, "60")
	if c.marked("earlier") {
		t.Error("the file is still there")
	}
	c.ask(answerDone, "thaw", token)
	c.put("frozen", "")
	c.ask(answerOthers, "freeze", token+"-2", "60")
	if !c.frozen() {
		t.Error("it was thawed")
	}
}

func TestScript_RefusesOtherWords(t *testing.T) {
	t.Parallel()
	newContainer(t).ask(answerNone, "melt", "token")
}

// It is a part of a URL, of which servers and what lies between take 8 kB at least.
func TestScript_FitsIntoARequest(t *testing.T) {
	t.Parallel()
	if size := len(url.QueryEscape(Program(script))); size > 5000 {
		t.Errorf("it takes %d characters", size)
	}
}
