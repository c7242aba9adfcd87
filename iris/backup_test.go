package iris

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"ha-iris/internal/testkit"
)

// backedUp asks for backups, on storage that the stack installs.
func backedUp(image string) func(*Config) {
	return func(c *Config) {
		guardedBy(image)(c)
		c.Backups = Backups{Wanted: true, Cron: "30 2 * * *", Retain: 14}
	}
}

func TestBackups_NeedATargetAndAnImage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change       func(*Config)
		made, remark bool
	}{
		"both":                  {backedUp(agentImage), true, false},
		"without the guard":     {func(c *Config) { backedUp(agentImage)(c); c.Failover.Mode = FailoverLonghorn }, true, false},
		"no image":              {backedUp(""), false, true},
		"no target, or off":     {guardedBy(agentImage), false, false},
		"neither":               {func(*Config) {}, false, false},
		"storage of the user's": {func(c *Config) { c.Failover.Image = agentImage }, false, false},
	} {
		cfg := community(test.change)
		if got := cfg.backupRemark() != ""; got != test.remark {
			t.Errorf("%s: got a remark: %v", name, got)
		}
		made := false
		for _, object := range manifests(t, mustRun(t, cfg)) {
			isBackups := strings.Contains(toYAML(t, []manifest{object}), "ha-iris-backup") || object.name == backupName
			if isBackups && !test.made {
				t.Errorf("%s: there is %s %s", name, object.kind, object.name)
			}
			made = made || object.kind == "CronJob"
		}
		if made != test.made {
			t.Errorf("%s: a CronJob: %v", name, made)
		}
		if got := len(cfg.Needs().BackupRoles) > 0; got != test.made {
			t.Errorf("%s: the survey asks for roles: %v", name, got)
		}
	}
}

// What the roles grant is what the agent's own tests have seen it use (agent/rights-backup.txt), and nothing else.
func TestBackups_RightsAreThoseThatTheAgentUses(t *testing.T) {
	t.Parallel()
	cfg := community(backedUp(agentImage))
	var granted []string
	for _, one := range cfg.backupGrants() {
		for _, rule := range one.rules {
			granted = append(granted, rule.lines(one.namespace)...)
		}
	}
	slices.Sort(granted)
	written, err := os.ReadFile(filepath.Join("..", "agent", "rights-backup.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("NAMESPACE", cfg.Namespace, "DEPLOYMENT", deploymentName, "LONGHORN", cfg.LonghornNamespace)
	want := strings.Split(strings.TrimSpace(names.Replace(string(written))), "\n")
	slices.Sort(want)
	if !slices.Equal(granted, want) {
		t.Errorf("granted:\n%s\nused:\n%s", strings.Join(granted, "\n"), strings.Join(want, "\n"))
	}
}

// What can do harm is narrowed by the admission policy, but for exec: the policy of the namespace's pods is that nothing else is in it.
func TestBackups_RightsAreNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	checks := map[string]bool{}
	cfg := community(backedUp(agentImage), func(c *Config) { c.Failover.Mode = FailoverLonghorn })
	for _, one := range cfg.backupChecks() {
		for _, mark := range []string{`"ha-iris/backup"`, `"consistent"`, `"ha-iris/namespace"`, `"iris"`} {
			if !strings.Contains(one.expression, mark) {
				t.Errorf("the check of %s lacks %s: %s", one.resource, mark, one.expression)
			}
		}
		for _, operation := range []string{"CREATE", "DELETE"} {
			if strings.Contains(one.expression, operation) {
				checks[operation+" "+one.resource] = true
			}
		}
	}
	if len(checks) != 4 {
		t.Errorf("the policy looks at %v", checks)
	}
	for _, object := range manifests(t, mustRun(t, cfg)) {
		if object.kind == "ClusterRole" {
			t.Errorf("ClusterRole %s", object.name)
		}
		if object.kind != "Role" {
			continue
		}
		for _, one := range decode[rbacv1.Role](t, []manifest{object}, object.kind, object.name).Rules {
			if slices.Contains(one.Verbs, "*") || slices.Contains(one.Resources, "*") || slices.Contains(one.Resources, "secrets") ||
				slices.Contains(one.Verbs, "update") || slices.Contains(one.Verbs, "patch") {
				t.Errorf("Role %s grants %v", object.name, one)
			}
		}
	}
}

// Of the times each has room for those within it.
func TestBackups_TimesContainEachOther(t *testing.T) {
	t.Parallel()
	job := decode[batchv1.CronJob](t, manifests(t, mustRun(t, community(backedUp(agentImage)))), "CronJob", backupName)
	spec := job.Spec.JobTemplate.Spec
	if *spec.ActiveDeadlineSeconds < backupPatience+backupTimeout+backupFreeze+300 {
		t.Errorf("a job ends after %d s", *spec.ActiveDeadlineSeconds)
	}
	if grace := *spec.Template.Spec.TerminationGracePeriodSeconds; grace < backupFreeze+50 {
		t.Errorf("a pod that is told to stop has %d s to thaw", grace)
	}
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || *job.Spec.TimeZone != "Etc/UTC" || job.Spec.Schedule != "30 2 * * *" {
		t.Errorf("got %+v", job.Spec)
	}
}

// A run knows the name of its job, and the CronJob by whose name those of the schedule are called.
func TestBackups_ARunKnowsItsJob(t *testing.T) {
	t.Parallel()
	job := decode[batchv1.CronJob](t, manifests(t, mustRun(t, community(backedUp(agentImage)))), "CronJob", backupName)
	container := job.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	args := strings.Join(container.Args, " ")
	if !strings.Contains(args, "--cron-job "+job.Name+" --job $(JOB_NAME)") {
		t.Errorf("the arguments are %s", args)
	}
	for _, one := range container.Env {
		if one.Name == "JOB_NAME" && one.ValueFrom.FieldRef.FieldPath == "metadata.labels['batch.kubernetes.io/job-name']" {
			return
		}
	}
	t.Errorf("the environment is %v", container.Env)
}

// One that was stored encrypted is kept so.
func TestBackups_AScheduleThatIsSecretStaysSo(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{true, false} {
		result := mustRun(t, community(backedUp(agentImage), func(c *Config) { c.Backups.Secret = hidden }))
		for path, leaf := range testkit.Leaves(result.One(t, "kubernetes:batch/v1:CronJob", backupName).Inputs) {
			if path == ".spec.schedule" && leaf.Secret != hidden {
				t.Errorf("secret %v: got %+v", hidden, leaf)
			}
		}
	}
}

// The guard and the backups look after the claim that the database runs on, not the first one.
func TestAgents_FollowTheNewestGeneration(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) {
		backedUp(agentImage)(c)
		c.Generation, c.RestoreFrom.Snapshot = 2, "yesterday"
	})
	agents := 0
	for _, object := range manifests(t, mustRun(t, cfg)) {
		_, after, found := strings.Cut(toYAML(t, []manifest{object}), "- --claim\n")
		if !found {
			continue
		}
		agents++
		if claim, _, _ := strings.Cut(strings.TrimLeft(after, " -"), "\n"); claim != "iris-pvc-2" {
			t.Errorf("%s %s looks after %q", object.kind, object.name, claim)
		}
	}
	if agents != 2 {
		t.Errorf("%d agents are told their claim, want the guard and the backups", agents)
	}
}
