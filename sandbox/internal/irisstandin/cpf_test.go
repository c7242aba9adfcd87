package irisstandin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCPF_MergedAtStartAndEffective(t *testing.T) {
	b := newBox(t)
	b.merge("ShutdownTimeout=120\n[config]\ngmheap=16384\ngmheap=256000\nglobals=0,0,500,0,0,0\n")
	b.start()
	current, err := readCPF(b.data("iris.cpf"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"Startup.ShutdownTimeout": "120", "config.gmheap": "256000", "CONFIG.GLOBALS": "0,0,500,0,0,0", "Journal.FreezeOnError": "0",
	} {
		section, name, _ := strings.Cut(key, ".")
		if got := current.get(section, name); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	b.stop()
	// What the portal changes comes back with the next start's merge (facts 2.7).
	current.section("config", false).set("gmheap", "20000", 0)
	if err := os.WriteFile(b.data("iris.cpf"), []byte(current.render()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	if current, err = readCPF(b.data("iris.cpf")); err != nil || current.get("config", "gmheap") != "256000" {
		t.Errorf("gmheap=%s, %v", current.get("config", "gmheap"), err)
	}
}

func TestCPF_MissingMergeFileIsALineOnly(t *testing.T) {
	b := newBox(t)
	b.start()
	b.stop()
	b.set("ISC_CPF_MERGE_FILE", filepath.Join(b.dir, "none.cpf"))
	b.start()
	b.log("none.cpf does not exist")
}

func TestCPF_ActionsInItBreakTheStart(t *testing.T) {
	b := newBox(t)
	b.start()
	b.stop()
	appendTo(t, b.data("iris.cpf"), "[Actions]\nCreateNamespace:Name=A,Globals=USER\n")
	r := b.main()
	if b.wait(r) == 0 {
		t.Error("exit code 0")
	}
	wantContains(t, r.out.String(), "[Actions] belongs in a merge file only")
}

func TestCPF_ChangeIsMergedWhileItRuns(t *testing.T) {
	b := newBox(t)
	b.start()
	b.merge("[config]\ngmheap=300000\n[Actions]\nCreateNamespace:Name=APP,Globals=APPDATA\nCreateDatabase:Name=APPDATA,Directory=" + b.data("app") + "\n")
	b.log("[INFO] merged")
	if current, err := readCPF(b.data("iris.cpf")); err != nil || current.get("config", "gmheap") != "300000" {
		t.Errorf("gmheap=%s, %v", current.get("config", "gmheap"), err)
	}
	wantContains(t, b.run(`zn "APP" set ^a="there" write ^a`), "there")
	if out, code := b.iris("", "session", "IRIS", "-U", "APP"); code != 0 {
		t.Errorf("-U APP: %d: %s", code, out)
	}
	b.merge("[config]\ngmheap=1\n")
	b.log("line 4: [config] gmheap: \"1\" is not between 16384 and 1073741760")
	b.merge("")
	b.stop()
	b.start()
	wantContains(t, b.run(`zn "APP" write ^a`), "there")
}

func TestCPF_MergeCommand(t *testing.T) {
	b := newBox(t)
	b.start()
	path := filepath.Join(b.dir, "other.cpf")
	for text, want := range map[string]int{"[Miscellaneous]\nSynchCommit=1\n": 0, "[Miscellaneous]\nSynchCommit=2\n": 1, "nonsense\n": 1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := b.iris("", "merge", "IRIS", path)
		if code != want {
			t.Errorf("%q: exit code %d: %s", text, code, out)
		}
		if code != 0 && !strings.Contains(out, fmt.Sprintf("line %d", strings.Count(text, "\n"))) {
			t.Errorf("the line is not named: %s", out)
		}
	}
}

func TestCPF_Values(t *testing.T) {
	for _, bad := range []string{
		"config.globals=1,0,500,0,0,0", "config.globals=a", "config.globals=0,0,1,1,1,1,1", "config.gmheap=16383", "config.jrnbufs=8",
		"config.locksiz=1", "config.routines=1", "Startup.ShutdownTimeout=60", "Journal.FreezeOnError=2", "Startup.PasswordHash=ab,cd",
		// The article's form: SHA1 without its name no longer fits today's defaults (facts 3.3).
		"Startup.PasswordHash=FBFE8593AEFA510C27FD184738D6E865A441DE98,u4ocm4qh",
		"Startup.PasswordHash=FBFE8593AEFA510C27FD184738D6E865A441DE98,u4ocm4qh,1024,MD5",
	} {
		name, value, _ := strings.Cut(bad, "=")
		section, key, _ := strings.Cut(name, ".")
		if why := checkParameter(section, key, value); why == "" {
			t.Errorf("%s was taken", bad)
		} else if strings.Contains(why, "FBFE") {
			t.Errorf("a hash is shown: %s", why)
		}
	}
	for _, good := range []string{"config.globals=0,0,500,0,0,0", "config.gmheap=0", "Any.Thing=x", "Startup.PasswordHash="} {
		name, value, _ := strings.Cut(good, "=")
		section, key, _ := strings.Cut(name, ".")
		if why := checkParameter(section, key, value); why != "" {
			t.Errorf("%s: %s", good, why)
		}
	}
}

func TestActions_QuotesAndOrder(t *testing.T) {
	got := properties(`Name=_SYSTEM,ChangePassword=0,PasswordHash="a,b,1,SHA512",Enabled=1`)
	if got["name"] != "_SYSTEM" || got["passwordhash"] != "a,b,1,SHA512" || got["enabled"] != "1" {
		t.Errorf("%q", got)
	}
	order := actionOrder()
	if order[len(order)-1] != "execute" {
		t.Error("Execute is not the last one")
	}
}
