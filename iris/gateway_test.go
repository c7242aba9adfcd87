package iris

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

func TestGatewayFiles_AreWhatWasReviewed(t *testing.T) {
	t.Parallel()
	plainHTTP, withTLS := licensed(), licensed(func(c *Config) { c.TLSSecret = "portal-tls" })
	testkit.Golden(t, "web-gateway/CSP.ini", gatewayINI(plainHTTP))
	testkit.Golden(t, "web-gateway/CSP.conf", gatewayConf(plainHTTP))
	testkit.Golden(t, "web-gateway/CSP-tls.conf", gatewayConf(withTLS))
}

// A configuration file as the image's own web server has it: the gateway's settings, then its one server.
const webServerINI = `[SYSTEM]
Version=2026.1
RELOAD=0
Username=CSPSystem

[SYSTEM_INDEX]
LOCAL=Enabled

[LOCAL]
Ip_Address=127.0.0.1
TCP_Port=1972
Username=Somebody
Password=]]]U1lT
Minimum_Server_Connections=3

[APP_PATH_INDEX]
/=Enabled
`

const adaptedINI = `[SYSTEM]
RELOAD=1
Version=2026.1
Username=CSPSystem

[SYSTEM_INDEX]
LOCAL=Enabled

[LOCAL]
Username=CSPSystem
Password={cat /run/ha-iris/password/password}
Ip_Address=127.0.0.1
TCP_Port=1972
Minimum_Server_Connections=3

[APP_PATH_INDEX]
/=Enabled
`

// runWebServerScript runs the script as iris-main does after a start.
func runWebServerScript(t *testing.T, data, install string) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), webServerFile)
	testkit.WriteFile(t, script, webServerScript(community()))
	command := exec.Command("/bin/sh", script)
	command.Env = append(os.Environ(), "ISC_DATA_DIRECTORY="+data, "ISC_PACKAGE_INSTALLDIR="+install)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("a failure here ends the container: %v: %s", err, output)
	}
	return string(output)
}

func instanceDir(t *testing.T, content string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "csp", "bin", gatewayINIFile)
	testkit.WriteFile(t, file, content)
	return dir, file
}

func TestWebServerScript_AdaptsBothFilesOnce(t *testing.T) {
	t.Parallel()
	data, dataFile := instanceDir(t, webServerINI)
	install, installFile := instanceDir(t, webServerINI)
	for round := range 2 {
		if output := runWebServerScript(t, data, install); output != "" {
			t.Errorf("round %d says %q", round, output)
		}
		for _, file := range []string{dataFile, installFile} {
			content, err := os.ReadFile(file)
			if err != nil || string(content) != adaptedINI {
				t.Errorf("round %d, %s: %v\n%s", round, file, err, content)
			}
		}
	}
	if leftovers, _ := filepath.Glob(filepath.Join(data, "csp", "bin", "*.ha-iris")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestWebServerScript_AdaptsWhateverTheFileLooksLike(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"lower case":           strings.ToLower(webServerINI),
		"Windows line ends":    strings.ReplaceAll(webServerINI, "\n", "\r\n"),
		"no password":          strings.ReplaceAll(webServerINI, "Password=]]]U1lT\n", ""),
		"server section first": "[LOCAL]\nPassword=SYS\n[SYSTEM]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, file := instanceDir(t, content)
			runWebServerScript(t, data, t.TempDir())
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(got); strings.Count(text, "Password={cat /run/ha-iris/password/password}\n") != 1 ||
				strings.Count(text, "\nRELOAD=1\n") != 1 || strings.Contains(text, "U1lT") || strings.Contains(text, "=SYS") {
				t.Errorf("got\n%s", text)
			}
		})
	}
}

func TestWebServerScript_NeverFails(t *testing.T) {
	t.Parallel()
	if output := runWebServerScript(t, t.TempDir(), t.TempDir()); output != "" {
		t.Errorf("without a web server it says %q", output)
	}
	data, file := instanceDir(t, webServerINI)
	// A directory in the new file's place: writing fails for every user, root included.
	if err := os.Mkdir(file+".ha-iris", 0o700); err != nil {
		t.Fatal(err)
	}
	if output := runWebServerScript(t, data, t.TempDir()); !strings.Contains(output, "the portal may refuse to open") {
		t.Errorf("says %q", output)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != webServerINI {
		t.Errorf("the old file is gone: %v\n%s", err, content)
	}
}
