package main

import (
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
