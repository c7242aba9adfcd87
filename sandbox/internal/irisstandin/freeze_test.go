package irisstandin

import (
	"os"
	"strings"
	"testing"
	"time"
)

const (
	externalFreeze = "##Class(Backup.General).ExternalFreeze()"
	externalThaw   = "##Class(Backup.General).ExternalThaw()"
	isSuspended    = "##class(Backup.General).IsWDSuspendedExt()"
)

func (b *box) system(code string) int {
	b.t.Helper()
	_, exit := b.iris("", "session", "IRIS", "-U%SYS", code)
	return exit
}

func TestFreeze_ExitCodesAndWhatStops(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_WRITE_CYCLE", "20ms")
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "10ms")
	b.start()
	for _, step := range []struct {
		code string
		want int
	}{
		{isSuspended, 3}, {externalFreeze, 5}, {isSuspended, 5}, {externalFreeze, 3}, {externalThaw, 5}, {isSuspended, 3},
	} {
		if got := b.system(step.code); got != step.want {
			t.Errorf("%s: exit code %d, want %d", step.code, got, step.want)
		}
	}
	if got := b.system(externalFreeze); got != 5 {
		t.Fatal(got)
	}
	before, err := os.ReadFile(b.data("mgr/user/IRIS.DAT"))
	if err != nil {
		t.Fatal(err)
	}
	b.run(`set ^a="frozen"`) // Users work on, the journal goes on (facts 6).
	b.eventually("the journal", func() bool { return strings.Contains(journalText(t, b), `"frozen"`) })
	time.Sleep(100 * time.Millisecond)
	if after, err := os.ReadFile(b.data("mgr/user/IRIS.DAT")); err != nil || string(after) != string(before) {
		t.Errorf("the database was written: %v", err)
	}
	b.eventually("hung", func() bool { return b.field(9) == "hung" })
	if status := b.field(4); !strings.HasPrefix(status, "running") {
		t.Errorf("status %q", status)
	}
	b.system(externalThaw)
	b.eventually("the write", func() bool {
		after, err := os.ReadFile(b.data("mgr/user/IRIS.DAT"))
		return err == nil && string(after) != string(before)
	})
}

func TestFreeze_BeyondItsLimitHoldsUpdatesAndLogins(t *testing.T) {
	b := newBox(t)
	b.start()
	if got := b.system(`##Class(Backup.General).ExternalFreeze("","",,,,,1)`); got != 5 {
		t.Fatal(got)
	}
	time.Sleep(1100 * time.Millisecond)
	done := make(chan string, 1)
	session := b.command("set ^a=1 write \"done\"\n", "session", "IRIS")
	go func() {
		out, _ := session.CombinedOutput()
		done <- string(out)
	}()
	select {
	case out := <-done:
		t.Fatalf("admitted: %s", out)
	case <-time.After(500 * time.Millisecond):
	}
	if _, code := b.iris("", "session", "IRIS", "-B", "-U%SYS", externalThaw); code != 5 {
		t.Errorf("emergency thaw: %d", code)
	}
	select {
	case out := <-done:
		wantContains(t, out, "done")
	case <-time.After(5 * time.Second):
		t.Error("still held")
	}
}

func TestFreeze_Commands(t *testing.T) {
	b := newBox(t)
	b.start()
	for _, step := range []struct {
		verb string
		want int
	}{{"freeze", 0}, {"freeze", 1}, {"thaw", 0}, {"freeze", 0}} {
		if out, code := b.iris("", step.verb, "IRIS"); code != step.want {
			t.Errorf("%s: %d: %s", step.verb, code, out)
		}
	}
	b.stop() // A frozen instance stops in order too.
}

func TestFreeze_OnlyInSYS(t *testing.T) {
	b := newBox(t)
	b.start()
	if out, code := b.iris("", "session", "IRIS", externalFreeze); code == 5 {
		t.Error(out)
	}
}
