package secret_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"ha-iris/internal/secret"
)

func TestValue_SaysWhatIsNoContentOfAFile(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("[ConfigFile]\nFileType=X\n", 20)))
	for text, want := range map[string]string{
		" \n\t": "blanks", "iris.key": "path", "./iris.key\n": "path", "~/iris.key": "path", "/etc/iris.key": "path",
		"keys/prod/iris.key": "path", `C:\keys\iris.key`: "path", "@iris.key": "path", "kubeconfig": "path", "~/.kube/config": "path",
		".kube/config": "path", "config.yaml": "path", "my licence.lic": "path",
		encoded: "base64", encoded[:76] + "\n" + encoded[76:]: "base64",
		"[ConfigFile]\nFileType=InterSystems License\n": "", "apiVersion: v1\nkind: Config\n": "", "{kind: Config, clusters: []}": "",
	} {
		if got := secret.New(text).NotContent(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestValue_SaysWhatIsNoLogin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  ": "blanks", "token\n": "end of line", " token": "blank", "a\nb": "several lines",
		`{"auths":{"r":{"auth":"x"}}}`: "config.json", "~/.docker/token": "path", "/run/secrets/token": "path", "token.txt": "path",
		"registry-token-1234": "", "/9j4AAQ/SkZJRg+g==": "", "eyJh.eyJz.c2ln-_x": "", `{"type":"service_account"}` + "\n": "", "a b": "",
	} {
		if got := secret.New(text).NotLogin(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
