package iris

import (
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	alertsName    = "iris-alerts"
	alertCritical = "critical"
	alertWarning  = "warning"
	// dailyBackupJobs matches the names of the jobs that the CronJob of the IRIS-consistent backups makes.
	dailyBackupJobs = backupName + "-.+"
	// verifyJobs matches those of the verifications.
	verifyJobs = verifyName + "-.+"
)

// alert is a rule for Prometheus. Its expression names the namespace, the claim or the Service, so that it is not about another stack.
type alert struct {
	name, severity string
	expr           string
	// lasts is how long the expression has to hold.
	lasts time.Duration
	// ofSchedule says that the expression or lasts show how often backups are made, which may be a secret value.
	ofSchedule bool
	// summary is one line, next what to do. Both are Prometheus' templates.
	summary, next string
	// runbook is a page of the documentation with one of its headings.
	runbook string
}

// series selects a metric by labels, which are names and values in turn. Values are object names and need no escapes.
func series(metric string, labels ...string) string {
	var text strings.Builder
	for index := 0; index+1 < len(labels); index += 2 {
		fmt.Fprintf(&text, "%s=%q,", labels[index], labels[index+1])
	}
	return metric + "{" + strings.TrimSuffix(text.String(), ",") + "}"
}

// Of IRIS itself and of the guard Prometheus adds the namespace and the Service (ServiceMonitor); Longhorn names the claim itself.

func (c Config) ofIRIS(metric string) string {
	return series(metric, "namespace", c.Namespace, "service", serviceName)
}

func (c Config) ofGuard(metric string) string {
	return series(metric, "namespace", c.Namespace, "service", guardName)
}

func (c Config) ofVolume(metric string, labels ...string) string {
	return series(metric, append([]string{"pvc_namespace", c.Namespace, "pvc", c.claimName()}, labels...)...)
}

func (c Config) ofFileSystem(metric string) string {
	return series(metric, "namespace", c.Namespace, "persistentvolumeclaim", c.claimName())
}

func (c Config) ofDeployment(metric string) string {
	return series(metric, "namespace", c.Namespace, "deployment", deploymentName)
}

// filled is how full the file system is, as IRIS sees it, 0 to 1. Longhorn's own longhorn_volume_actual_size_bytes counts the blocks that were
// ever written, snapshots included, and does not shrink when files are deleted: on a thin volume with ext4 it reaches the capacity, and
// more, while the file system has room.
func (c Config) filled() string {
	return fmt.Sprintf("max by (namespace, persistentvolumeclaim) (%s / %s)",
		c.ofFileSystem("kubelet_volume_stats_used_bytes"), c.ofFileSystem("kubelet_volume_stats_capacity_bytes"))
}

// lastBackup is when the volume was last backed up, in Unix time; nothing before the first one, of which Longhorn says 0
// (longhorn-manager volume_collector.go, getLastBackupAtValue).
func (c Config) lastBackup() string {
	return fmt.Sprintf("max by (pvc_namespace, pvc) (%s > 0)", c.ofVolume("longhorn_volume_last_backup_at"))
}

// tookOver holds for 15 min after a take-over. A guard has no such counter before its first one, and increase sees nothing in a counter that
// begins with 1.
func (c Config) tookOver() string {
	counter := c.ofGuard("ha_iris_guard_takeovers_total")
	return fmt.Sprintf("increase(%s[15m]) > 0 or (%s > 0 unless %s offset 15m)", counter, counter, counter)
}

// alerts are the rules that the configuration asks for.
func (c Config) alerts() []alert {
	all := c.databaseAlerts()
	if c.LonghornNamespace != "" {
		all = append(all, c.volumeAlerts()...)
	}
	if c.BackupInterval > 0 {
		all = append(all, c.backupAlerts()...)
	}
	if c.verifies() {
		all = append(all, c.verifyAlerts()...)
	}
	if c.Failover.guarded() {
		all = append(all, c.guardAlerts()...)
	}
	return append(all, c.sourceAlert())
}

func (c Config) databaseAlerts() []alert {
	by := "max by (namespace, deployment) "
	return []alert{
		{
			name: "HaIrisDatabaseNotReady", severity: alertCritical, lasts: 5 * time.Minute,
			// Scaled to 0 somebody has stopped it.
			expr: by + "(" + c.ofDeployment("kube_deployment_status_replicas_ready") + ") == 0 and " +
				by + "(" + c.ofDeployment("kube_deployment_spec_replicas") + ") > 0",
			summary: "IRIS is not ready",
			next: "A failover and IRIS' recovery would have ended, or IRIS is still recovering: look at the pod, its events and the end of its log, " +
				"and do not restart it while it recovers.",
			runbook: `docs/operations.md, "A dead node at night"`,
		},
		{
			name: "HaIrisHung", severity: alertCritical, lasts: 2 * time.Minute,
			expr:    c.ofIRIS("iris_system_state") + " < 0",
			summary: "IRIS calls itself hung",
			next:    "Look at messages.log, at the write and the journal daemon, and whether the volume answers.",
			runbook: `docs/operations.md, "3. IRIS recovers"`,
		},
		{
			// System Monitor's health state (GCM): 0 green, 1 yellow, 2 red. Yellow follows each single alert, and the start after a crash.
			name: "HaIrisStateRed", severity: alertWarning, lasts: 5 * time.Minute,
			expr:    c.ofIRIS("iris_system_state") + " >= 2",
			summary: "IRIS' System Monitor is red",
			next:    "Read alerts.log and messages.log. It clears by itself an hour after the last alert.",
			runbook: `docs/operations.md, "What an alert means"`,
		},
		{
			// Posted since IRIS started (GCM). Not iris_system_alerts_new, which whoever reads /api/monitor/alerts sets back.
			name: "HaIrisAlertPosted", severity: alertWarning,
			expr:    "increase(" + c.ofIRIS("iris_system_alerts") + "[15m]) > 0",
			summary: "IRIS has posted an alert to alerts.log",
			next:    "Read the end of alerts.log and of messages.log.",
			runbook: `docs/operations.md, "What an alert means"`,
		},
		c.fullAlert("HaIrisVolumeFilling", alertWarning, 0.8),
		c.fullAlert("HaIrisVolumeFull", alertCritical, 0.95),
	}
}

func (c Config) fullAlert(name, severity string, limit float64) alert {
	return alert{
		name: name, severity: severity, lasts: 5 * time.Minute,
		expr:    fmt.Sprintf("%s > %v", c.filled(), limit),
		summary: "The database's volume is {{ $value | humanizePercentage }} full",
		next:    "Raise iris.size, which works while IRIS runs, or purge journals. When it is full IRIS stops.",
		runbook: `docs/operations.md, "Growing"`,
	}
}

func (c Config) volumeAlerts() []alert {
	// 1 for the state that it is in, 0 for each other (longhorn-manager volume_collector.go, collectVolumeRobustness).
	robustness := func(state string) string {
		return "max by (pvc_namespace, pvc, volume) (" + c.ofVolume("longhorn_volume_robustness", "state", state) + ") == 1"
	}
	return []alert{
		{
			name: "HaIrisVolumeDegraded", severity: alertWarning, lasts: 15 * time.Minute, expr: robustness("degraded"),
			summary: "The database's volume lacks a replica",
			next: "The database runs on; the next loss may stop it. See whether Longhorn rebuilds one and on which node none is: a node that came " +
				"back empty needs you.",
			runbook: `docs/operations.md, "A node that came back empty"`,
		},
		{
			name: "HaIrisVolumeFaulted", severity: alertCritical, lasts: time.Minute, expr: robustness("faulted"),
			summary: "The database's volume has no healthy replica",
			next:    "Delete nothing. Bring back the nodes that have the replicas; without them the data are in the backups only.",
			runbook: `docs/operations.md, "1. What is it?"`,
		},
	}
}

func (c Config) backupAlerts() []alert {
	overdue := 2 * c.BackupInterval
	all := []alert{
		{
			name: "HaIrisBackupTooOld", severity: alertCritical, lasts: 5 * time.Minute, ofSchedule: true,
			expr:    fmt.Sprintf("time() - %s > %d", c.lastBackup(), int(overdue.Seconds())),
			summary: "The last backup is {{ $value | humanizeDuration }} old",
			next:    "Look at the newest backups and their errors, and whether Longhorn can use the target.",
			runbook: `docs/operations.md, "Are there backups"`,
		},
		{
			name: "HaIrisNoBackup", severity: alertCritical, lasts: overdue, ofSchedule: true,
			expr:    "max by (pvc_namespace, pvc) (" + c.ofVolume("longhorn_volume_last_backup_at") + ") == 0",
			summary: "The volume has never been backed up",
			next:    "Look whether a backup runs or has failed. The first one takes the whole volume.",
			runbook: `docs/operations.md, "Are there backups"`,
		},
		{
			// 4 is Error, and the metric has no claim (longhorn-manager backup_collector.go). Longhorn forgets a failed one after a day.
			name: "HaIrisBackupFailed", severity: alertWarning,
			expr: "max by (volume, backup) (longhorn_backup_state == 4) and on (volume) " +
				"max by (volume) (" + c.ofVolume("longhorn_volume_capacity_bytes") + ")",
			summary: "The backup {{ $labels.backup }} has failed",
			next:    "Its object has Longhorn's reason. The alert ends when Longhorn forgets the backup, after a day.",
			runbook: `docs/operations.md, "Are there backups"`,
		},
	}
	if c.backsUp() {
		all = append(all, alert{
			name: "HaIrisConsistentBackupFailed", severity: alertWarning,
			expr: fmt.Sprintf("max by (namespace, job_name) (kube_job_failed{namespace=%q,job_name=~%q,condition=\"true\"}) == 1",
				c.Namespace, dailyBackupJobs),
			summary: "The job {{ $labels.job_name }} has failed: no backup for which IRIS was frozen",
			next:    "Read the log of its last pod. The alert ends with the job, which is kept for some days; delete it when it is understood.",
			runbook: `docs/operations.md, "Are there backups"`,
		})
	}
	return all
}

// verifyAlerts read kube-state-metrics: a verification is a job of a CronJob, which fails with it.
func (c Config) verifyAlerts() []alert {
	const runbook = `docs/operations.md, "Is a backup any good"`
	succeeded := series("kube_cronjob_status_last_successful_time", "namespace", c.Namespace, "cronjob", verifyName)
	created := series("kube_cronjob_created", "namespace", c.Namespace, "cronjob", verifyName)
	by := "max by (namespace, cronjob) "
	overdue := 2*c.Verifications.Interval + time.Duration(c.verifyDeadline())*time.Second
	return []alert{
		{
			name: "HaIrisVerificationFailed", severity: alertCritical,
			expr: fmt.Sprintf("max by (namespace, job_name) (kube_job_failed{namespace=%q,job_name=~%q,condition=\"true\"}) == 1",
				c.Namespace, verifyJobs),
			summary: "The job {{ $labels.job_name }} has failed: the last backup could not be verified",
			next: "Read the event on the Deployment, or the log of the job's last pod: it says whether the backup is bad or the run did not come to its " +
				"end. The alert ends with the job, which is kept for some days; delete it when it is understood.",
			runbook: runbook,
		},
		{
			name: "HaIrisVerificationTooOld", severity: alertWarning, lasts: 5 * time.Minute, ofSchedule: true,
			expr:    fmt.Sprintf("time() - (%s(%s) or %s(%s)) > %d", by, succeeded, by, created, int(overdue.Seconds())),
			summary: "No backup was found good since {{ $value | humanizeDuration }}",
			next:    "Look at the last jobs: whether they have failed, wait for room on a node, or were not started.",
			runbook: runbook,
		},
	}
}

func (c Config) guardAlerts() []alert {
	return []alert{
		{
			name: "HaIrisTookOver", severity: alertWarning, expr: c.tookOver(),
			summary: "The guard has freed the database of a lost node",
			next:    "IRIS starts on another node: watch it, then find out what became of the lost one.",
			runbook: `docs/operations.md, "What the guard did"`,
		},
		{
			name: "HaIrisGuardRefuses", severity: alertCritical, lasts: 2 * time.Minute,
			expr:    "max by (namespace, rule) (" + c.ofGuard("ha_iris_guard_refusals") + ") > 0",
			summary: "A node is lost and the guard may not take over: rule {{ $labels.rule }}",
			next:    "The events and the guard's log say what is missing. The database does not come back before that, or before you act.",
			runbook: `docs/operations.md, "What the guard did"`,
		},
		{
			name: "HaIrisGuardAbsent", severity: alertWarning, lasts: 5 * time.Minute,
			expr: fmt.Sprintf("absent(%s == 1) or time() - max(%s) > 120", c.ofGuard("ha_iris_guard_leader"),
				c.ofGuard("ha_iris_guard_last_decision_timestamp_seconds")),
			summary: "No guard is at work",
			next:    "Nobody frees the database of a lost node but Kubernetes' and Longhorn's time-outs. Look at the pods of the guard and their log.",
			runbook: `docs/operations.md, "What the guard did"`,
		},
	}
}

// sourceAlert says which metrics are missing: an alert on what nobody measures never fires.
func (c Config) sourceAlert() alert {
	sources := []struct{ name, metric string }{
		{"IRIS", c.ofIRIS("iris_system_state")},
		{"kube-state-metrics", c.ofDeployment("kube_deployment_spec_replicas")},
		{"the kubelet", c.ofFileSystem("kubelet_volume_stats_used_bytes")},
	}
	if c.LonghornNamespace != "" {
		sources = append(sources, struct{ name, metric string }{"Longhorn", c.ofVolume("longhorn_volume_capacity_bytes")})
	}
	missing := make([]string, 0, len(sources))
	for _, source := range sources {
		missing = append(missing, fmt.Sprintf("label_replace(absent(%s), \"source\", %q, \"\", \"\")", source.metric, source.name))
	}
	return alert{
		name: "HaIrisNotWatched", severity: alertWarning, lasts: 15 * time.Minute, expr: strings.Join(missing, " or "),
		summary: "Prometheus has no metrics of {{ $labels.source }}",
		next:    "Alerts that need them cannot fire. While IRIS runs, look at Prometheus' targets.",
		runbook: `docs/operations.md, "What Prometheus must have"`,
	}
}

// rule is the alert as the Prometheus Operator takes it.
func (c Config) rule(a alert, stack string) map[string]any {
	rule := map[string]any{
		"alert": a.name, "expr": c.ofSchedule(a, a.expr),
		"labels":      map[string]any{"severity": a.severity, "namespace": c.Namespace, "stack": stack},
		"annotations": map[string]any{"summary": a.summary, "description": a.next, "runbook": a.runbook},
	}
	if a.lasts > 0 {
		rule["for"] = c.ofSchedule(a, fmt.Sprintf("%ds", int(a.lasts.Seconds())))
	}
	return rule
}

func (c Config) ofSchedule(a alert, text string) pulumi.StringInput {
	if !a.ofSchedule || !c.BackupIntervalSecret {
		return pulumi.String(text)
	}
	if hidden, ok := pulumi.ToSecret(pulumi.String(text)).(pulumi.StringOutput); ok {
		return hidden
	}
	return pulumi.StringOutput{} // ToSecret keeps the element type, so this is unreachable; an unknown output leaks nothing.
}

func (s *scope) prometheusRule(in *namespace, options ...pulumi.ResourceOption) error {
	if !s.cfg.Alerts {
		return nil
	}
	rules := []any{}
	for _, one := range s.cfg.alerts() {
		rules = append(rules, s.cfg.rule(one, s.ctx.Stack()))
	}
	_, err := apiextensions.NewCustomResource(s.ctx, alertsName, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("monitoring.coreos.com/v1"),
		Kind:       pulumi.String("PrometheusRule"),
		Metadata:   s.monitoring(in.metadata(s.cfg.database(), alertsName, nil)),
		OtherFields: kubernetes.UntypedArgs{"spec": map[string]any{
			"groups": []any{map[string]any{"name": "ha-iris." + s.cfg.Namespace, "rules": rules}},
		}},
	}, s.options(options...)...)
	return creating("PrometheusRule "+alertsName, err)
}
