package irisstandin

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

func TestKill_LosesWhatWasNotFlushed(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "1h")
	b.start()
	b.run("tstart  set ^a=1 tcommit") // Asks for a flush of everything up to here.
	b.eventually("the flush", func() bool { return strings.Contains(journalText(t, b), `"commit"`) })
	b.run("set ^b=1")
	b.kill()
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "2s")
	b.start()
	wantContains(t, b.run("write $data(^a),$data(^b)"), "10")
}

func TestKill_AfterTheCycleLosesNothing(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "10ms")
	b.start()
	b.run("set ^b=1")
	b.eventually("the flush", func() bool { return strings.Contains(journalText(t, b), `"set"`) })
	b.kill()
	b.start()
	wantContains(t, b.run(`write "b is "_^b`), "b is 1")
	b.log("Journal recovery: ", "changes rolled forward")
}

func TestKill_SynchronousCommitLosesNothing(t *testing.T) {
	b := newBox(t)
	b.merge("[Miscellaneous]\nSynchCommit=1\n")
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "1h")
	b.start()
	b.run("tstart  set ^a=1 tcommit")
	b.kill()
	b.start()
	wantContains(t, b.run(`write "a is "_^a`), "a is 1")
}

func TestKill_OpenTransactionIsRolledBack(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "10ms")
	b.start()
	b.run("set ^a=1")
	session := b.command("tstart  set ^a=2,^c=1 hang 60\n", "session", "IRIS")
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Wait() }()
	b.eventually("the change in the journal", func() bool { return strings.Contains(journalText(t, b), `"tx"`) })
	b.kill()
	b.start()
	b.log("1 open transactions rolled back")
	wantContains(t, b.run(`write "a is "_^a_" c "_$data(^c)`), "a is 1 c 0")
}

func TestStop_KeepsEverythingAndRollsBackWhatIsOpen(t *testing.T) {
	b := newBox(t)
	b.start()
	b.run("set ^a=1")
	b.run("tstart  set ^a=2")
	b.stop()
	b.start()
	wantContains(t, b.run(`write "a is "_^a`), "a is 1")
}

func TestRecovery_TornDatabaseIsRestoredFromTheWIJ(t *testing.T) {
	dir := t.TempDir()
	wij, path := dir+"/IRIS.WIJ", dir+"/IRIS.DAT"
	db := &database{dir: dir, nodes: map[string]string{nodeKey("^a", nil): "1"}}
	image, err := db.image(7)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeWIJ(wij, map[string][]byte{path: image}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, image[:len(image)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.load(); err == nil {
		t.Fatal("a torn database was read")
	}
	if n, err := restore(wij); n != 1 || err != nil {
		t.Fatalf("%d restored, %v", n, err)
	}
	if err := db.load(); err != nil || db.seq != 7 || db.nodes[nodeKey("^a", nil)] != "1" {
		t.Errorf("%+v, %v", db, err)
	}
}

// wrote says whether the write daemon has written a global of USER, and is done with it.
func (b *box) wrote(global string) func() bool {
	return func() bool {
		content, _ := os.ReadFile(b.data("mgr/user/IRIS.DAT"))
		pending, err := os.ReadFile(b.data("mgr/IRIS.WIJ"))
		return bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString([]byte(nodeKey(global, nil))))) && err == nil && len(pending) == 0
	}
}

func TestRecovery_DamageLeadsToSingleUserMode(t *testing.T) {
	for name, damage := range map[string]func(b *box){
		"database": func(b *box) { appendTo(b.t, b.data("mgr/user/IRIS.DAT"), "[\"eA==\",\"eA==\"]\n") },
		"journal": func(b *box) {
			files, err := journalFiles(b.data("mgr/journal"))
			if err != nil {
				b.t.Fatal(err)
			}
			content, _ := os.ReadFile(files[0])
			if err := os.WriteFile(files[0], append([]byte("x"), content...), 0o600); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.set("IRIS_STANDIN_WRITE_CYCLE", "50ms")
			b.start()
			b.run("set ^a=1 tstart  tcommit", "hang .3", "set ^b=1 tstart  tcommit")
			b.eventually("the journal", func() bool { return strings.Count(journalText(t, b), `"commit"`) == 2 })
			b.eventually("the database", b.wrote("^b")) // From a write image journal in use the database would be mended.
			b.kill()
			damage(b)
			b.start()
			b.log("sign-on inhibited")
			if status := b.field(4); !strings.HasPrefix(status, "sign-on inhibited") {
				t.Errorf("status %q", status)
			}
			if _, code := b.iris("", "session", "IRIS"); code != 239 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestRecovery_TornEndOfTheJournalIsNoDamage(t *testing.T) {
	b := newBox(t)
	b.set("IRIS_STANDIN_JOURNAL_CYCLE", "10ms")
	b.start()
	b.run("set ^a=1")
	b.eventually("the flush", func() bool { return strings.Contains(journalText(t, b), `"set"`) })
	b.kill()
	files, err := journalFiles(b.data("mgr/journal"))
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, files[len(files)-1], "0123 {\"seq\":")
	b.start()
	wantContains(t, b.run(`write "a is "_^a`), "a is 1")
}

func TestLock_OfAnotherDirectoryLeavesTheDatabaseReadOnly(t *testing.T) {
	b := newBox(t)
	b.start()
	b.kill()
	if err := os.WriteFile(b.data("mgr/user/iris.lck"), []byte("IRIS:/elsewhere/mgr/user"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.log("mounted read-only")
	wantContains(t, b.run("set ^a=1"), "<PROTECT>")
}

func journalText(t *testing.T, b *box) string {
	t.Helper()
	files, err := journalFiles(b.data("mgr/journal"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	return text.String()
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
