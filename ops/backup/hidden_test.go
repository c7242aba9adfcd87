package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHidden_LeavesNoLogin(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"mount -o username=iris,password=hunter2 //nas/backups", "https://iris:hunter2@nas/backups", "?sig=hunter2"} {
		if got := hidden(text); strings.Contains(got, "hunter2") || !strings.Contains(got, "[secret]") {
			t.Errorf("%s became %s", text, got)
		}
	}
	const plain = "s3://iris-backups@eu-west-1/: AccessDenied, credentials: no role found"
	if got := hidden(plain); got != plain {
		t.Errorf("%s became %s", plain, got)
	}
}

// The agent is a module of its own, so that the expressions stand there too.
func TestHidden_IsWhatTheAgentHas(t *testing.T) {
	t.Parallel()
	agents, err := os.ReadFile(filepath.Join("..", "..", "agent", "internal", "kube", "hidden.go"))
	if err != nil {
		t.Fatal(err)
	}
	code := strings.NewReplacer("` +\n\t\t`", "").Replace(string(agents))
	for _, expression := range []string{login.String(), userInfo.String()} {
		if !strings.Contains(code, "`"+expression+"`") {
			t.Errorf("the agent's hidden.go lacks %s", expression)
		}
	}
}
