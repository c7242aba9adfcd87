package standin

import (
	"fmt"
	"strconv"
	"strings"
)

// offered is the range of Kubernetes 1.x minor versions that a vendor creates clusters of.
type offered struct{ oldest, newest int }

// eksOffers: EKS sells extended support for 1.33 and up (EKS version calendar, autumn 2026).
func eksOffers() offered { return offered{oldest: 33, newest: 36} }

// aksOffers: AKS has 1.33 in its long-term plan only, which costs a tier of its own (Azure/AKS CHANGELOG 2026-07-17).
func aksOffers() offered { return offered{oldest: 34, newest: 36} }

// gkeOffers: GKE has these in its Regular channel (GKE release notes, September 2026).
func gkeOffers() offered { return offered{oldest: 33, newest: 36} }

// minorOf returns the minor version of "1.35", "1.35.6" or "1.35.6-gke.1000".
func minorOf(version string) (int, bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return 0, false
	}
	minor, err := strconv.Atoi(parts[1])
	return minor, err == nil
}

func (o offered) has(version string) bool {
	minor, ok := minorOf(version)
	return ok && minor >= o.oldest && minor <= o.newest
}

// standard is the version for whoever does not ask for one: the newest but one.
func (o offered) standard() string { return fmt.Sprintf("1.%d", o.newest-1) }

// step returns how many minor versions lie between two versions; negative when it goes back.
func step(from, to string) int {
	old, _ := minorOf(from)
	next, _ := minorOf(to)
	return next - old
}
