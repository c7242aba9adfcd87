// Package irisstandin plays an InterSystems IRIS container: the vendor's contract for starting, stopping, storing and
// asking, without the database. The rules follow the vendor's documentation, each beside its source ("facts" means the
// project's sheet of them); nothing here knows how ha-iris runs it. README.md of the sandbox says what it is not.
package irisstandin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Settings is where an instance lives and how long things take. The vendor's own variables come first, those that begin
// with IRIS_STANDIN_ are the stand-in's.
type Settings struct {
	InstallDir string // ISC_PACKAGE_INSTALLDIR (facts 2.8).
	Instance   string // ISC_PACKAGE_INSTANCENAME (facts 2.8).
	DataDir    string // ISC_DATA_DIRECTORY; empty: the data stay in the installation (facts 2.4).
	MergeFile  string // ISC_CPF_MERGE_FILE (facts 2.7).
	Home       string // HOME: iris-main's log lies there (facts 2.1).

	FirstStart time.Duration // Copying the installation; a first start was seen to take 30 to 90 s (facts 5.6).
	WarmStart  time.Duration // From shared memory to up, about 5 s in a public log (facts 5.6).
	Recovery   time.Duration // What a start after a crash takes longer; up to 10 s for the comparison alone (facts 5.2).
	Stop       time.Duration // An orderly stop; the docs call docker's 10 s possibly too short (facts 2.3).
	LoginDelay time.Duration // Between "running" and the first admitted login (facts 2.9: "slightly").

	JournalCycle    time.Duration // Journal buffers are written every 2 s (facts 5.1).
	WriteCycle      time.Duration // The write daemon's cycle, at most about 80 s (facts 5.4).
	JournalPatience time.Duration // After about 150 s of errors journaling is switched off (facts 3.2).
	Watch           time.Duration // How often the merge file is looked at; the vendor's interval is not in the facts.
	Reload          time.Duration // How often the web server looks at CSP.ini: within a minute (ADOCK 5.5.3).
	FreezeLimit     time.Duration // ExternalFreezeTimeOut's default, 600 s (facts 6).

	Bind      string // Address of the listeners; empty: all.
	WebPort   int    // The private web server's port, 52773 (facts 1.7). WebServerPort has no effect (facts 3.2).
	Cores     int    // Visible cores; 0 counts them, CPU sets included, CPU limits not (facts 1.9).
	DataLimit int64  // Community: 10 GB of data (facts 1.9).
	MinFree   int64  // A first start needs about 200 MB (facts 2.4).
}

// FromEnvironment reads the settings of the process' environment.
func FromEnvironment() (Settings, error) {
	s := Settings{
		InstallDir: variable("ISC_PACKAGE_INSTALLDIR", "/usr/irissys"),
		Instance:   variable("ISC_PACKAGE_INSTANCENAME", "IRIS"),
		DataDir:    os.Getenv("ISC_DATA_DIRECTORY"),
		MergeFile:  os.Getenv("ISC_CPF_MERGE_FILE"),
		Home:       variable("HOME", "/home/irisowner"),
		Bind:       os.Getenv("IRIS_STANDIN_BIND"),
	}
	if s.DataDir != "" {
		s.DataDir = filepath.Clean(s.DataDir)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"FIRST_START", &s.FirstStart, 25 * time.Second},
		{"WARM_START", &s.WarmStart, 5 * time.Second},
		{"RECOVERY", &s.Recovery, 10 * time.Second},
		{"STOP", &s.Stop, 2 * time.Second},
		{"LOGIN_DELAY", &s.LoginDelay, 500 * time.Millisecond},
		{"JOURNAL_CYCLE", &s.JournalCycle, 2 * time.Second},
		{"WRITE_CYCLE", &s.WriteCycle, 80 * time.Second},
		{"JOURNAL_PATIENCE", &s.JournalPatience, 150 * time.Second},
		{"WATCH", &s.Watch, time.Second},
		{"RELOAD", &s.Reload, 5 * time.Second},
		{"FREEZE_LIMIT", &s.FreezeLimit, 600 * time.Second},
	} {
		*d.value = d.usual
		if text := os.Getenv("IRIS_STANDIN_" + d.name); text != "" {
			parsed, err := time.ParseDuration(text)
			if err != nil || parsed < 0 {
				return Settings{}, fmt.Errorf("IRIS_STANDIN_%s: %q is no duration", d.name, text)
			}
			*d.value = parsed
		}
	}
	var webPort, cores int64
	for _, n := range []struct {
		name  string
		value *int64
		usual int64
	}{
		{"WEB_PORT", &webPort, 52773},
		{"CORES", &cores, 0},
		{"DATA_LIMIT", &s.DataLimit, 10 << 30},
		{"MIN_FREE", &s.MinFree, 200 << 20},
	} {
		*n.value = n.usual
		if text := os.Getenv("IRIS_STANDIN_" + n.name); text != "" {
			parsed, err := strconv.ParseInt(text, 10, 64)
			if err != nil || parsed < 0 {
				return Settings{}, fmt.Errorf("IRIS_STANDIN_%s: %q is no number", n.name, text)
			}
			*n.value = parsed
		}
	}
	s.WebPort, s.Cores = int(webPort), int(cores)
	return s, nil
}

func variable(name, usual string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return usual
}

// root is the directory of the instance's own files: the durable one, or the installation.
func (s Settings) root() string {
	if s.DataDir != "" {
		return s.DataDir
	}
	return s.InstallDir
}

func (s Settings) mgr(elements ...string) string {
	return filepath.Join(append([]string{s.root(), "mgr"}, elements...)...)
}

func (s Settings) cpfPath() string { return filepath.Join(s.root(), "iris.cpf") }

// socketPath is in the container, never on the data volume: another node's instance is not reachable.
func (s Settings) socketPath() string { return filepath.Join(s.InstallDir, "bin", "irisdb.sock") }
