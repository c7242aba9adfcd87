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

// minPolicyMinor is the first Kubernetes 1.x in which ValidatingAdmissionPolicy is stable, which keeps the agent's accounts in bounds.
const minPolicyMinor = 30

func checkVersion(facts *facts, needs Database, found *findings) {
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
	if major != 1 || minor < minMinor || minor >= minPolicyMinor {
		return
	}
	newer := ", or Kubernetes 1." + strconv.Itoa(minPolicyMinor) + " or newer: in older ones nothing narrows what "
	if len(needs.GuardRoles) > 0 {
		found.blocking.AddSecret("failover.mode", "a cluster with Kubernetes "+v.Text, "longhorn"+newer+"the guard may do to nodes")
	}
	if len(needs.BackupRoles) > 0 {
		found.blocking.AddSecret("storage.backup.consistent.enabled", "a cluster with Kubernetes "+v.Text, "false"+newer+
			"agent backup may do to snapshots and backups")
	}
	if len(needs.VerifyRoles) > 0 {
		found.blocking.AddSecret("storage.backup.verify.enabled", "a cluster with Kubernetes "+v.Text, "false"+newer+
			"agent verify may do to pods, volumes and classes")
	}
}
