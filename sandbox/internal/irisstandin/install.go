package irisstandin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Edition tells Community from licensed images.
type Edition string

// The editions.
const (
	Community Edition = "community"
	Licensed  Edition = "licensed"
)

// DefaultVersion is the newest extended maintenance build that was seen (facts 1.4).
const DefaultVersion = "2026.1.0.234.1"

const installationFile = "standin-installation.json" // The stand-in's own; IRIS has it in its binaries.

type installation struct {
	Version string  `json:"version"`
	Edition Edition `json:"edition"`
}

// Install writes the files of an installation, as they lie in an image: /usr/irissys (facts 2.1, 2.4).
func Install(dir, version string, edition Edition) error {
	description, err := json.Marshal(installation{version, edition})
	if err != nil {
		return fmt.Errorf("describe the installation: %w", err)
	}
	files := map[string]string{
		installationFile:        string(description) + "\n",
		"iris.cpf":              initialCPF(version, edition),
		"csp/bin/CSP.ini":       "[SYSTEM]\nRELOAD=0\n\n[SYSTEM_INDEX]\nLOCAL=Enabled\n\n[LOCAL]\nIp_Address=127.0.0.1\nTCP_Port=1972\nUsername=CSPSystem\nPassword=]]]U1lT\n",
		"httpd/conf/httpd.conf": "Listen 52773\n",
		"mgr/journal/.keep":     "",
	}
	for _, directory := range systemDatabases() {
		files[filepath.Join("mgr", directory, databaseFile)] = ""
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o775); err != nil {
			return fmt.Errorf("make %s: %w", filepath.Dir(path), err)
		}
		if err := os.WriteFile(path, []byte(content), 0o664); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o775); err != nil {
		return fmt.Errorf("make the directory of programs: %w", err)
	}
	return nil
}

// systemDatabases are the directories below mgr/ (facts 2.4). The first one is IRISSYS.
func systemDatabases() []string {
	return []string{".", "irissecurity", "iristemp", "irisaudit", "irismetrics", "user"}
}

func initialCPF(version string, edition Edition) string {
	release := strings.Join(strings.Split(version, ".")[:1], "")
	lines := []string{
		"[ConfigFile]", "Product=IRIS", "Version=" + release, "",
		"[Databases]", "IRISSYS=./mgr/", "IRISSECURITY=./mgr/irissecurity/", "IRISTEMP=./mgr/iristemp/",
		"IRISAUDIT=./mgr/irisaudit/", "IRISMETRICS=./mgr/irismetrics/", "USER=./mgr/user/", "",
		"[Namespaces]", "%SYS=IRISSYS", "USER=USER", "",
		// The defaults of the reference (facts 3.1, 3.2).
		"[config]", "globals=0,0,0,0,0,0", "gmheap=0", "jrnbufs=64", "locksiz=0", "routines=0", "",
		"[Journal]", "BackupsBeforePurge=2", "CompressFiles=1", "DaysBeforePurge=2", "FileSizeLimit=1024", "FreezeOnError=0", "",
		"[Miscellaneous]", "SynchCommit=0", "",
		"[Startup]", "DefaultPort=1972", "PasswordHash=", "ShutdownTimeout=300",
	}
	if edition == Community {
		lines = append(lines, "WebServer=1") // Community images serve 52773 out of the box (facts 1.7, 3.2).
	}
	return strings.Join(lines, "\n") + "\n"
}

func readInstallation(dir string) (installation, error) {
	var found installation
	content, err := os.ReadFile(filepath.Join(dir, installationFile))
	if err != nil {
		return found, fmt.Errorf("read the installation: %w", err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, fmt.Errorf("read the installation in %s: %w", dir, err)
	}
	return found, nil
}

// compareVersions orders versions by their numbers.
func compareVersions(a, b string) int {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(left), len(right)) {
		if x, y := number(left, i), number(right, i); x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

func number(fields []string, i int) int {
	if i >= len(fields) {
		return 0
	}
	value, err := strconv.Atoi(fields[i])
	if err != nil {
		return 0
	}
	return value
}
