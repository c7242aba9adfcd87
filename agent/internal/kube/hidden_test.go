package kube

import (
	"strings"
	"testing"
)

// What is quoted is what mount(8) and the SDKs of the clouds print.
func TestHidden_LeavesNoLogin(t *testing.T) {
	t.Parallel()
	const login = "hunter2/+=="
	for _, text := range []string{
		"Mounting command: mount\nMounting arguments: -t cifs -o username=iris,password=" + login + ",vers=3.0 //nas/backups /var/lib/x",
		"mount -o rw,pass=" + login + " //nas/backups",
		`CIFS_PASSWORD: "` + login + `"`, "AccountKey=" + login + ";EndpointSuffix=core", "AWS_SECRET_ACCESS_KEY=" + login,
		"get https://iris:" + "hunter2" + "@nas/backups: refused", "https://a.blob/x?sig=" + login + "&se=2026", `{"password":"` + login + `"}`,
		"https://iris:a/b@hunter2@nas/backups", `{\"password\":\"` + login + `\"}`, "Authorization: Basic " + login, "authorization=Bearer " + login,
		"-o password=a b;c&d'hunter2,vers=3.0", "SharedAccessSignature=" + login, `{"token": "` + login + `"}`,
	} {
		if got := hidden(text); strings.Contains(got, "hunter2") || !strings.Contains(got, "[secret]") {
			t.Errorf("%s became %s", text, got)
		}
	}
	for _, text := range []string{
		"AccessDenied: Access Denied status code: 403, request id: 4", "no such file or directory: nfs://nas.example:/backups/", "the snapshot volume-snap-1 does not exist",
		"failed to refresh cached credentials: no EC2 IMDS role found", "InvalidToken: The provided token is malformed", "cannot reach s3://iris-backups@eu-west-1/", "azblob://backups@core.windows.net/: no such container", "https://nas.example:8443/backups: refused, retry@12:00",
	} {
		if got := hidden(text); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
}
