package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kubectl notes its arguments, the kubeconfig's mode, its directory's and its content, and then does what body says.
func kubectl(t *testing.T, body string) (seen string) {
	t.Helper()
	bin := t.TempDir()
	seen = filepath.Join(bin, "seen")
	script := "#!/bin/sh\n{ echo \"$*\"; stat -c %a \"$KUBECONFIG\" \"$(dirname \"$KUBECONFIG\")\"; cat \"$KUBECONFIG\"; } >" + seen + ".new\n" +
		"mv " + seen + ".new " + seen + "\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("TMPDIR", t.TempDir())
	return seen
}

// leftovers fails the test for what is left in the directory for temporary files.
func leftovers(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUI_ForwardsOnLoopbackWithAKubeconfigThatGoesWithIt(t *testing.T) {
	for name, body := range map[string]string{
		"kubectl ends": "trap 'exit 130' INT; while :; do sleep 0.05; done",
		// Killed after its patience, not waited for.
		"kubectl is deaf": "trap '' INT; while :; do sleep 0.05; done",
	} {
		t.Run(name, func(t *testing.T) {
			seen := kubectl(t, body)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var stdout, stderr bytes.Buffer
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"--port", "9001"}, strings.NewReader("SECRET-CONTENT\n"), &stdout, &stderr)
			}()
			got := ""
			for deadline := time.Now().Add(20 * time.Second); got == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				content, _ := os.ReadFile(seen) // Not there yet.
				got = string(content)
			}
			want := "-n longhorn-system port-forward --address 127.0.0.1 service/longhorn-frontend 9001:80\n600\n700\nSECRET-CONTENT\n"
			if got != want {
				t.Errorf("kubectl saw %q, want %q", got, want)
			}
			interrupt()
			select {
			case code := <-ended:
				if code != 0 {
					t.Errorf("exit code %d: %s", code, stderr.String())
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
			leftovers(t)
			said := stdout.String() + stderr.String()
			if !strings.Contains(said, "http://127.0.0.1:9001") || !strings.Contains(said, "no login") || strings.Contains(said, "SECRET") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

func TestUI_SaysWhyItCannot(t *testing.T) {
	for name, test := range map[string]struct {
		args        []string
		stdin, body string
		want        string
	}{
		"no Longhorn":   {nil, "x", "echo 'NotFound' >&2; exit 1", "installs no Longhorn"},
		"ends":          {nil, "x", "exit 0", "run it again"},
		"no kubeconfig": {nil, "\n", "", "no kubeconfig"},
		"a file":        {[]string{"kubeconfig"}, "x", "", "standard input"},
		"port":          {[]string{"--port", "0"}, "x", "", "--port: got 0"},
		"option":        {[]string{"--pot", "1"}, "x", "", "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			kubectl(t, test.body)
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, strings.NewReader(test.stdin), &stdout, &stderr)
			if code != 1 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("exit code %d, %q; want 1 and %q", code, stderr.String(), test.want)
			}
			leftovers(t)
		})
	}
}

func TestUI_Help(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, strings.NewReader(""), &stdout, &stderr); code != 0 || stdout.String() != usage {
		t.Errorf("exit code %d, %q, %q", code, stdout.String(), stderr.String())
	}
}
