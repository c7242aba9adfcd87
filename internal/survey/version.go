package survey

import (
	"strconv"
	"strings"
)

// minMinor is the first Kubernetes 1.x that this program supports: ReadWriteOncePod is stable since then (KEP-2485).
const minMinor = 29

type version struct {
	Major string `json:"major"`
	Minor string `json:"minor"` // "29+" with some clouds.
	Text  string `json:"gitVersion"`
}

// minGuardMinor is the first Kubernetes 1.x in which ValidatingAdmissionPolicy is stable, which keeps the guard in bounds.
const minGuardMinor = 30

func checkVersion(facts *facts, guard bool, found *findings) {
	v := facts.version.value
	major, majorErr := strconv.Atoi(v.Major)
	minor, minorErr := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if majorErr != nil || minorErr != nil { // Not read, which is reported elsewhere, or not a known format.
		return
	}
	if major < 1 || (major == 1 && minor < minMinor) {
		found.blocking.AddSecret("cluster.context", "a cluster with Kubernetes "+v.Text, "1."+strconv.Itoa(minMinor)+
			" or newer: older ones do not keep a second pod off the data for certain (ReadWriteOncePod). Upgrade the cluster")
	}
	if major == 1 && minor >= minMinor && minor < minGuardMinor && guard {
		found.blocking.AddSecret("failover.mode", "a cluster with Kubernetes "+v.Text, "longhorn, or Kubernetes 1."+
			strconv.Itoa(minGuardMinor)+" or newer: in older ones nothing narrows what the guard may do to nodes")
	}
}
