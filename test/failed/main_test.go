package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// run has go test run the text of a test file, as make e2e does.
func run(t *testing.T, text string) (ok bool, printed string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example\n\ngo 1.26\n", "x_test.go": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("go", "test", "-json", "-count=1", "-timeout=2s", ".")
	command.Dir = dir
	output, _ := command.CombinedOutput()
	var out strings.Builder
	ok, err := watch(strings.NewReader(string(output)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return ok, out.String()
}

var summaryBegins = regexp.MustCompile(`(?m)^(failed|did not end): `)

func TestWatch(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		ok   bool
		// summary is what the last lines begin with.
		summary string
	}{
		"passes": {"import \"testing\"\nfunc TestA(t *testing.T) { t.Log(\"text\") }", true, ""},
		"a subtest fails": {
			"import \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"b\", func(t *testing.T) { t.Error(\"no\\nnever\") }) }\n" +
				"func TestZ(t *testing.T) {}",
			false, "failed: example TestA/b\n    x_test.go:3: no\n    never\n",
		},
		"goes on after its error": {
			"import \"testing\"\nfunc TestA(t *testing.T) { t.Error(\"no\\nnever\"); t.Log(\"1\"); t.Log(\"2\"); t.Log(\"3\\n4\") }",
			false, "failed: example TestA\n    x_test.go:3: no\n    x_test.go:3: 1\n    x_test.go:3: 2\n    x_test.go:3: 3\n    4\n",
		},
		"takes too long": {
			"import (\"testing\"; \"time\")\nfunc TestA(t *testing.T) { time.Sleep(time.Minute) }",
			false, "did not end: example TestA\n    panic: test timed out",
		},
		"panics": {
			"import \"testing\"\nfunc TestA(t *testing.T) { panic(\"why\") }",
			false, "failed: example TestA\n    panic: why",
		},
		"does not build": {"func", false, "failed: example\n"},
		"nothing to run": {"", false, "failed: no test has run\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, printed := run(t, "package example\n"+test.file)
			var summary string
			if i := summaryBegins.FindStringIndex(printed); i != nil {
				summary = printed[i[0]:]
			}
			if ok != test.ok || !strings.HasPrefix(summary, test.summary) || (summary == "") != test.ok {
				t.Errorf("ok %t, want %t and at the end %q:\n%s", ok, test.ok, test.summary, printed)
			}
		})
	}
}
