package storage

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ha-iris/internal/guard"
)

// version is a release of Longhorn: major, minor, patch.
type version [3]int

// parseVersion reads 1.12.1, with what may stand behind a dash.
func parseVersion(text string) (version, bool) {
	var v version
	_, err := fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2])
	return v, err == nil
}

func (v version) compare(with version) int { return slices.Compare(v[:], with[:]) }

// refuseJump refuses a change of Longhorn's version that Longhorn would refuse in the middle of it, with its pods already exchanged in part:
// one minor version at a time, and never down (longhorn.md 1.3, its upgrade check since 1.5.0). What was deployed last is in Helm's records.
func refuseJump(records []record, after guard.Inputs) error {
	wanted := wantedVersion(after)
	to, known := parseVersion(wanted)
	deployed := ""
	for _, one := range records {
		if one.complete() {
			deployed = one.chart
		}
	}
	from, runs := parseVersion(deployed)
	if !known || !runs {
		return nil
	}
	const key = "storage.version"
	switch next := from[1] + 1; {
	case to.compare(from) < 0:
		return fmt.Errorf("%s: got %s, want %s or later, as it runs: Longhorn is never downgraded, because it has changed its objects for the newer "+
			"version. Nothing was changed", key, wanted, deployed)
	case to[0] != from[0] || to[1] > next:
		return fmt.Errorf("%s: got %s, want at most %d.%d.x: %s runs, and Longhorn is upgraded one minor version at a time. Set the newest %d.%d, pulumi "+
			"up, wait until every volume is healthy, then the next one (docs/operations.md, \"Longhorn\"). Nothing was changed",
			key, wanted, from[0], next, deployed, from[0], next)
	}
	return nil
}

// wantedVersion is the version of the chart that is to be installed; "" if it is not known before Helm has the chart.
func wantedVersion(after guard.Inputs) string {
	if given := after.Text("version"); given != "" {
		return given
	}
	file, err := os.Open(filepath.Join(after.Text("chart"), "Chart.yaml"))
	if err != nil {
		return "" // An archive.
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "version:"); found {
			return strings.Trim(strings.TrimSpace(text), `"'`)
		}
	}
	return ""
}
