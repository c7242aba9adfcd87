package irisstandin

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

const (
	communityCores       = 20 // Facts 1.9.
	communityConnections = 8  // Facts 1.9.
	// capsIgnored is the release whose help says that --check-caps does nothing (facts 2.2).
	capsIgnored = "2026.2"
)

// checkCapabilities finds capabilities that iris-main wants and the container does not have. The facts name two and an
// ellipsis (2.2); only these two are asked for. IRIS' own programs get them by setuid, so the bounding set counts.
func checkCapabilities(version string, bounding uint64) error {
	if compareVersions(version, capsIgnored) >= 0 {
		return nil
	}
	var missing []string
	for _, capability := range []struct {
		name string
		bit  int
	}{{"CAP_SETGID", 6}, {"CAP_SETUID", 7}} {
		if bounding&(1<<capability.bit) == 0 {
			missing = append(missing, capability.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("required capabilities are missing: %s", strings.Join(missing, ", "))
	}
	return nil
}

func boundingSet(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "CapBnd:"); found {
			return strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		}
	}
	return 0, fmt.Errorf("read capabilities: %s has no CapBnd", path)
}

// checkCores is Community's limit; Go counts as IRIS does: CPU sets count, CPU limits do not (facts 1.9).
func (s Settings) checkCores(edition Edition) error {
	cores := s.Cores
	if cores == 0 {
		cores = runtime.NumCPU()
	}
	if edition == Community && cores > communityCores {
		return fmt.Errorf("license limit exceeded: %d cores are visible, the Community Edition's key allows %d", cores, communityCores)
	}
	return nil
}
