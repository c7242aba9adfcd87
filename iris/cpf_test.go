package iris

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ha-iris/internal/secret"
	"ha-iris/internal/testkit"
)

// parsedCPF is a merge file as a reader of the format sees it: sections of key=value lines, and lines of actions
// (RACS, ACMF).
type parsedCPF struct {
	settings map[string]map[string]string
	actions  []string
}

// parseCPF reads a merge file and refuses what a reader could understand in two ways.
func parseCPF(text string) (parsedCPF, error) {
	parsed := parsedCPF{settings: map[string]map[string]string{}}
	section := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "["):
			name, found := strings.CutSuffix(line[1:], "]")
			if !found {
				return parsed, fmt.Errorf("line %d: section without end: %q", number, line)
			}
			if parsed.settings[strings.ToLower(name)] != nil {
				return parsed, fmt.Errorf("line %d: section %q again", number, name)
			}
			section = strings.ToLower(name)
			parsed.settings[section] = map[string]string{}
		case section == "actions":
			parsed.actions = append(parsed.actions, line)
		default:
			key, value, found := strings.Cut(line, "=")
			if !found || section == "" {
				return parsed, fmt.Errorf("line %d: no setting: %q", number, line)
			}
			if _, twice := parsed.settings[section][key]; twice {
				return parsed, fmt.Errorf("line %d: %s.%s again", number, section, key)
			}
			parsed.settings[section][key] = value
		}
	}
	return parsed, lines.Err()
}

func rendered(cfg Config) string { return newCPF(cfg, planMemory(4*gib, cfg)).render() }

func TestCPF_IsWhatWasReviewed(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"default":          community(),
		"synchronous":      community(func(c *Config) { c.SynchronousCommit = true }),
		"gateway-replaces": community(func(c *Config) { c.WebGateway = WebGateway{Enabled: true, Image: gatewayImage} }),
		"licensed":         licensed(),
		"free-form": community(func(c *Config) {
			c.GlobalsMiB, c.GmheapKiB = 500, 256000 // The article's.
			c.CPF = map[string]map[string]string{
				"startup":  {"SystemMode": "TEST", "shutdowntimeout": "300"},
				"SQL":      {"TimePrecision": "6", "DefaultSchema": "app"},
				"Map.USER": {"Global_Order*": "ORDERS"},
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := rendered(cfg)
			testkit.Golden(t, filepath.Join("cpf", name+".cpf"), text)
			if _, err := parseCPF(text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCPF_RendersTheSameEveryTime(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) {
		c.CPF = map[string]map[string]string{"SQL": {}, "Devices": {}, "Telnet": {}}
		for i := range 20 {
			c.CPF["SQL"][fmt.Sprint("Key", i)] = "x"
			c.CPF["SQL"][fmt.Sprint("KEY", i)] = "y"
		}
	})
	first := rendered(cfg)
	for range 50 {
		if again := rendered(cfg); again != first {
			t.Fatalf("got\n%s\nfirst\n%s", again, first)
		}
	}
}

func readCPF(t *testing.T, path string) parsedCPF {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseCPF(string(content))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestMergeFile_JoinsTheHalves runs the init container's command on both halves and reads the result.
func TestMergeFile_JoinsTheHalves(t *testing.T) {
	t.Parallel()
	cfg := community()
	made, err := newCredentials(secret.New(testPassword), []string{"CreateNamespace:Name=APP,Globals=APP"}, "scope")
	if err != nil {
		t.Fatal(err)
	}
	settings, credentials, merge := t.TempDir(), t.TempDir(), t.TempDir()
	testkit.WriteFile(t, filepath.Join(settings, mergeFile), rendered(cfg))
	testkit.WriteFile(t, filepath.Join(credentials, credentialsFile), made.merge.Reveal())
	// As in the copy of a backup, whose settings are between the halves.
	if output, err := exec.Command("/bin/sh", "-c", joinCommand(settings, credentials, merge, copySettings()...)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if parsed := readCPF(t, filepath.Join(merge, mergeFile)); parsed.settings["startup"]["EnsembleAutoStart"] != "0" ||
		len(parsed.actions) != len(accounts()) || parsed.settings["startup"]["PasswordHash"] == "" { // Without iris.actions.
		t.Errorf("got %v, %q", parsed.settings, parsed.actions)
	}
	if output, err := exec.Command("/bin/sh", "-c", joinCommand(settings, credentials, merge)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	path := filepath.Join(merge, mergeFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the joined file: %v, %v", info, err)
	}
	parsed := readCPF(t, path)
	startup := parsed.settings["startup"]
	if startup["ShutdownTimeout"] != "120" || startup["EnsembleAutoStart"] != "" || strings.Count(startup["PasswordHash"], ",") != 3 {
		t.Errorf("[Startup] is %v", startup)
	}
	if got := len(parsed.actions); got != len(accounts())+1 {
		t.Errorf("%d actions: %q", got, parsed.actions)
	}
}

// TestMergeFile_IsNeverHalf: a file that is missing leaves no merge file at all, and the pod does not start.
func TestMergeFile_IsNeverHalf(t *testing.T) {
	t.Parallel()
	settings, credentials, merge := t.TempDir(), t.TempDir(), t.TempDir()
	testkit.WriteFile(t, filepath.Join(settings, mergeFile), "[Startup]\n")
	if err := exec.Command("/bin/sh", "-c", joinCommand(settings, credentials, merge)).Run(); err == nil {
		t.Error("the command succeeds without the credentials")
	}
	if _, err := os.Stat(filepath.Join(merge, mergeFile)); err == nil {
		t.Error("half a merge file is left")
	}
}

// FuzzCPF: whatever passes the checks stays in its section, under its key, on its line.
func FuzzCPF(f *testing.F) {
	for _, seed := range [][3]string{
		{"SQL", "TimePrecision", "6"},
		{"Startup", "X", "a=b"},
		{"A\nB", "k", "v"},
		{"S", "[x]", "v"},
		{"S", "k", "v\n[Actions]\n"},
		{"S]", "k", "v"},
		{"S", "k", "v\r\nExecute:x"},
		{"S", " k", "v"},
		{"S", "k=", "v"},
		{"S", "#k", "v"},
		{"S", "k", "\u2028"},
		{"s", "K", " v "},
		{"config", "x", ""},
		{"Journal", "FreezeOnError", "0"},
		{"S", "\xff", "\xff"},
		{"S", "k", "v /*"},
		{"S", "/*", "v"},
		{"S", "//k", "v"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, section, key, value string) {
		if checkCPFSection(section) != "" || checkCPFKey(key) != "" || checkCPFValue(value) != "" ||
			strings.EqualFold(section, sectionActions) {
			return
		}
		want := mustParse(t, rendered(community()))
		name := strings.ToLower(section)
		if want.settings[name] == nil {
			want.settings[name] = map[string]string{}
		}
		want.settings[name][canonicalKey(want.settings[name], key)] = value
		extra := map[string]map[string]string{section: {key: value}}
		text := rendered(community(func(c *Config) { c.CPF = extra }))
		got := mustParse(t, text)
		// The credentials go on with the last section.
		if last := text[strings.LastIndex(text, "\n[")+1:]; !strings.HasPrefix(last, "[Startup]\n") {
			t.Fatalf("%q: the last section is\n%s", extra, last)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", extra, got, want)
		}
	})
}

func mustParse(t *testing.T, text string) parsedCPF {
	t.Helper()
	parsed, err := parseCPF(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return parsed
}
