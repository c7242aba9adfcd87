package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The probes ask `iris qlist`, which reads the instance's own state, takes no licence and writes nothing. Its line has
// fields separated by '^': name, directory, version, status, ... (GSA). The image's own health check is no probe: it goes
// red on any alert, after every crash recovery and during a backup's freeze (/irisHealth.sh of Community 2026.1; GCM).
//
// Only the status counts, never the health field, and the shell's builtins suffice, so nothing depends on what else the
// image has.

// instance is the name of the instance in every image of the vendor (ADOCK 5.3).
const instance = "IRIS"

const (
	readLine   = "iris qlist " + instance + " 2>/dev/null | { IFS=^ read -r name _ _ status _; "
	readStatus = readLine + `[ "$name" = ` + instance + " ] && case $status in "
)

const (
	// statusUp begins the status of an instance that admits users. The comma matters: "running on node ? (...)" is an
	// instance whose ids file is missing.
	statusUp = `"running, since "*`
	// statusInhibited begins the status of an instance that is up and admits nobody, because it starts, recovers, or waits
	// for an administrator after a failed recovery.
	statusInhibited = `"sign-on inhibited"*`
	// statusDown begins the status of an instance that does not run.
	statusDown = `down*`
)

// startedCommand succeeds once the instance is up, even if it does not admit users: from there on nothing gains from a
// restart. A recovery that needs an administrator would otherwise be killed in a loop (GCDI, single-user start).
func startedCommand() string {
	return readStatus + statusUp + "|" + statusInhibited + ") ;; *) false ;; esac; }"
}

// readyCommand succeeds when users can log in.
func readyCommand() string {
	return readStatus + statusUp + ") ;; *) false ;; esac; }"
}

// aliveCommand fails only when the instance says that it is down. Everything unclear is alive: a kill turns a stall into
// an unclean stop. (iris-main ends the container when the instance stops, so this is the second line.)
func aliveCommand() string {
	return readLine + `if [ "$name" = ` + instance + " ]; then case $status in " + statusDown + ") false ;; esac; fi; }"
}

const (
	// startupPeriod: the time from the start to the next probe is downtime, half of this on average. A call takes milliseconds, and the
	// kubelet asks for readiness as soon as this probe has succeeded (kubernetes pkg/kubelet/prober, UpdatePodStatus).
	startupPeriod = 2
	// probeTimeout outlasts a stall of the volume when a replica dies, 8 s (Longhorn engine-replica-timeout).
	probeTimeout = 10
	// databaseReadyPeriod: from the end of the recovery to the next probe the database is up and nobody reaches it, half of this on average. The
	// kubelet looks at once when the startup probe has succeeded, which is before the recovery ends; with 5 s, 2 to 3 s of each run of lose-node
	// were this (12.1 or 13.1 s from the container's start in most, 10 to 11 since; docs/failover-runs.csv and its history). A stall of the volume makes one probe slow, and at worst
	// fails it; three that fail are 6 s of an instance that says so, or 30 s of one that does not answer.
	databaseReadyPeriod, databaseReadyFailures = 2, 3
	// readyPeriod and readyFailures are those of the other containers.
	readyPeriod, readyFailures = 5, 3
	// Killed after 12 x 10 s of being down, well beyond a stall and beyond IRIS' own restart attempts.
	alivePeriod, aliveFailures = 10, 12
)

func startupProbe(budgetSeconds int) *corev1.ProbeArgs {
	return execProbe(startedCommand(), startupPeriod, (budgetSeconds+startupPeriod-1)/startupPeriod)
}

func readinessProbe() *corev1.ProbeArgs {
	return execProbe(readyCommand(), databaseReadyPeriod, databaseReadyFailures)
}

func livenessProbe() *corev1.ProbeArgs { return execProbe(aliveCommand(), alivePeriod, aliveFailures) }

func execProbe(command string, period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		Exec:             &corev1.ExecActionArgs{Command: pulumi.ToStringArray([]string{"/bin/sh", "-c", command})},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(probeTimeout),
		FailureThreshold: pulumi.Int(failures),
	}
}
