package irisstandin

import (
	"errors"
	"os"
	"time"
)

const (
	healthOK    = "ok"
	healthWarn  = "warn"
	healthAlert = "alert"
	healthHung  = "hung"
	// A red state decays to yellow after 30 minutes and to green after 60 (facts 2.9).
	decayRed    = 30 * time.Minute
	decayYellow = 60 * time.Minute
)

const statusTime = "Mon Jan 02 15:04:05 2006"

// status is the fourth field of "iris qlist" (facts 2.9).
func (i *instance) status() string {
	switch i.at() {
	case starting:
		return "sign-on inhibited, startup or installation in progress"
	case inhibited:
		return "sign-on inhibited, single-user mode"
	case stopping:
		return "sign-on inhibited, shutdown in progress"
	default:
		if _, err := os.Stat(i.settings.mgr("iris.ids")); errors.Is(err, os.ErrNotExist) {
			return "running on node ? (iris.ids missing)"
		}
		return "running, since " + i.since.Format(statusTime)
	}
}

// health is the ninth field: not ok for an hour after a crash and after a change of the host, and hung while frozen
// (facts 2.6, 2.9).
func (i *instance) health() string {
	if i.at() != early && i.at() != admitting {
		return ""
	}
	if i.store.hung() {
		return healthHung
	}
	crashed := time.Unix(i.before.CrashedAt, 0)
	if i.before.Running {
		crashed = i.since
	}
	moved := i.before.Host != "" && i.before.Host != i.host
	switch age := time.Since(crashed); {
	case age < decayRed:
		return healthAlert
	case age < decayYellow, moved && time.Since(i.since) < decayRed:
		return healthWarn
	default:
		return healthOK
	}
}
