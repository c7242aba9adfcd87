package iris

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"ha-iris/internal/testkit"
)

// verified asks for verifications of backups, on storage that the stack installs.
func verified(image string) func(*Config) {
	return func(c *Config) {
		backedUp(image)(c)
		c.Verifications = Verifications{Wanted: true, Cron: "0 4 * * 0", Interval: 7 * 24 * time.Hour}
	}
}

func TestVerifications_NeedToBeAskedForAndAnImage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change       func(*Config)
		made, remark bool
	}{
		"asked for":         {verified(agentImage), true, false},
		"without the guard": {func(c *Config) { verified(agentImage)(c); c.Failover.Mode = FailoverLonghorn }, true, false},
		"without daily":     {func(c *Config) { verified(agentImage)(c); c.Backups = Backups{} }, true, false},
		"no image":          {verified(""), false, true},
		"not asked for":     {backedUp(agentImage), false, false},
	} {
		cfg := community(test.change)
		if got := cfg.verifyRemark() != ""; got != test.remark {
			t.Errorf("%s: got a remark: %v", name, got)
		}
		made := false
		for _, object := range manifests(t, mustRun(t, cfg)) {
			made = made || strings.Contains(toYAML(t, []manifest{object}), verifyName)
		}
		if made != test.made {
			t.Errorf("%s: something of it: %v", name, made)
		}
		if got := len(cfg.Needs().VerifyRoles) > 0; got != test.made {
			t.Errorf("%s: the survey asks for roles: %v", name, got)
		}
	}
}

// What the roles grant is what the agent's own tests have seen it use (agent/rights-verify.txt), and nothing else.
func TestVerifications_RightsAreThoseThatTheAgentUses(t *testing.T) {
	t.Parallel()
	cfg := community(verified(agentImage))
	var granted []string
	for _, one := range cfg.verifyGrants() {
		for _, rule := range one.rules {
			granted = append(granted, rule.lines(one.namespace)...)
		}
	}
	slices.Sort(granted)
	written, err := os.ReadFile(filepath.Join("..", "agent", "rights-verify.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("NAMESPACE", cfg.Namespace, "DEPLOYMENT", deploymentName, "LONGHORN", cfg.LonghornNamespace,
		"TEMPLATE", copyName, "COPY", copyName, "CLASS", cfg.verifyClass(), "RESULTS", verifyName)
	want := strings.Split(strings.TrimSpace(names.Replace(string(written))), "\n")
	slices.Sort(want)
	if !slices.Equal(granted, want) {
		t.Errorf("granted:\n%s\nused:\n%s", strings.Join(granted, "\n"), strings.Join(want, "\n"))
	}
}

// Whatever is made or deleted is looked at by the policy: its name when it is made, its marks when it is deleted, and what a pod may mount and run.
func TestVerifications_RightsAreNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	cfg := community(verified(agentImage))
	all := map[string]string{}
	for _, one := range cfg.verifyChecks() {
		for _, operation := range []string{"CREATE", "DELETE"} {
			if strings.Contains(one.expression, operation) {
				all[operation+" "+one.resource] += one.expression
			}
		}
	}
	for request, wants := range map[string][]string{
		"CREATE pods": {
			`"iris-verify-copy"`, `"ha-iris/verify"`, `claimName.orValue("") == "iris-verify-copy"`, `"iris-credentials"`, cfg.Image, "hostNetwork", "nodeName", "privileged",
			"automountServiceAccountToken", "lifecycle", `"iris-external-sys:/`,
		},
		"CREATE persistentvolumeclaims": {`"iris-verify-copy"`, `"ha-iris-verify-iris"`}, "CREATE configmaps": {`"iris-verify"`},
		"CREATE storageclasses": {`"ha-iris-verify-iris"`, "driver.longhorn.io", `"Delete"`},
		"DELETE pods":           {"oldObject", `"ha-iris/verify"`, `"ha-iris/namespace"`}, "DELETE persistentvolumeclaims": {"oldObject", `"ha-iris/verify"`},
		"DELETE storageclasses": {"oldObject", `"ha-iris/verify"`},
	} {
		for _, want := range wants {
			if !strings.Contains(all[request], want) {
				t.Errorf("%s lacks %s: %s", request, want, all[request])
			}
		}
		delete(all, request)
	}
	if len(all) > 0 {
		t.Errorf("unexpected checks: %v", all)
	}
	// Each right to change something is in the policy or names its object.
	for _, one := range cfg.verifyGrants() {
		for _, rule := range one.rules {
			changes := slices.Contains(rule.verbs, "delete") || slices.Contains(rule.verbs, "update") || slices.Contains(rule.verbs, "patch")
			if changes && (len(rule.names) != 1 || slices.Contains(cfg.claimNames(), rule.names[0])) {
				t.Errorf("changes %v named %v", rule.resources, rule.names)
			}
		}
	}
}

func copyOf(t *testing.T, objects []manifest) corev1.PodTemplateSpec {
	t.Helper()
	return decode[corev1.PodTemplate](t, objects, "PodTemplate", copyName).Template
}

// The copy is what the database is, but for what would let anybody reach it or let it reach anybody or the database's data.
func TestVerifications_TheCopyIsTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"community": community(verified(agentImage)), "licensed": licensed(verified(agentImage)), "gateway": community(func(c *Config) {
			verified(agentImage)(c)
			c.WebGateway.Enabled, c.WebGateway.Image = true, gatewayImage
		}),
	} {
		objects := manifests(t, mustRun(t, cfg))
		copied, database := copyOf(t, objects), databaseTemplate(t, objects)
		inCopy, original := copied.Spec.Containers[0], database.Spec.Containers[0]
		if len(copied.Spec.Containers) != 1 || inCopy.Image != original.Image || inCopy.Resources.String() != original.Resources.String() ||
			inCopy.SecurityContext.String() != original.SecurityContext.String() || copied.Spec.SecurityContext.String() != database.Spec.SecurityContext.String() ||
			copied.Spec.Hostname != database.Spec.Hostname {
			t.Errorf("%s: the copy is not what the database is: %v", name, copied.Spec)
		}
		args := strings.Join(inCopy.Args, " ")
		if strings.Contains(args, "--before") || strings.Contains(args, "--after") || !strings.Contains(args, "--ISCAgent false") || len(inCopy.Ports) > 0 {
			t.Errorf("%s: the arguments are %s, the ports %v", name, args, inCopy.Ports)
		}
		if cfg.LicenseKey.IsSet() != strings.Contains(args, "--key") {
			t.Errorf("%s: a licensed copy needs its key: %s", name, args)
		}
		for _, volume := range copied.Spec.Volumes {
			if claim := volume.PersistentVolumeClaim; claim != nil && claim.ClaimName != copyName {
				t.Errorf("%s: it mounts %s", name, claim.ClaimName)
			}
			if volume.Secret != nil && !slices.Contains([]string{credentialsName, licenseName}, volume.Secret.SecretName) || volume.Projected != nil {
				t.Errorf("%s: it mounts %+v", name, volume)
			}
		}
		if copied.Spec.RestartPolicy != corev1.RestartPolicyNever || copied.Spec.DNSPolicy != corev1.DNSNone || *copied.Spec.AutomountServiceAccountToken ||
			copied.Spec.PriorityClassName != "" || inCopy.LivenessProbe != nil || inCopy.ReadinessProbe == nil {
			t.Errorf("%s: got %+v", name, copied.Spec)
		}
	}
}

// While another image is refused, or waits for its backup, the copy has the database's: nothing of the verification with the image in it is written
// before the Deployment.
func TestVerifications_TheCopyGetsAnImageAfterTheDatabase(t *testing.T) {
	t.Parallel()
	cfg := community(verified(agentImage))
	result := mustRun(t, cfg)
	deployment := result.One(t, "kubernetes:apps/v1:Deployment", deploymentName)
	for token, name := range map[string]string{
		"kubernetes:core/v1:PodTemplate": copyName, "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": verifyName,
	} {
		one := result.One(t, token, name)
		if !slices.Contains(one.RegisterRPC.GetDependencies(), deployment.URN) {
			t.Errorf("%s %s may have another image than the database", token, name)
		}
		holds := false
		for _, leaf := range testkit.Leaves(one.Inputs) {
			holds = holds || strings.Contains(leaf.Text, cfg.Image)
		}
		if !holds {
			t.Errorf("%s %s has no image: look elsewhere", token, name)
		}
	}
}

// A grace period of 0 deletes the pod while its processes may still hold the volume, and the database's is none of the copy's.
func TestVerifications_TheCopyIsGivenTimeToStop(t *testing.T) {
	t.Parallel()
	for _, configured := range []int{0, maxGrace} {
		cfg := community(verified(agentImage), func(c *Config) { c.TerminationGracePeriodSeconds = configured })
		copied := copyOf(t, manifests(t, mustRun(t, cfg)))
		if got := copied.Spec.TerminationGracePeriodSeconds; got == nil || *got != 30 {
			t.Errorf("configured %d: got %v, want 30", configured, got)
		}
	}
}

func databaseTemplate(t *testing.T, objects []manifest) corev1.PodTemplateSpec {
	t.Helper()
	for _, one := range objects {
		if one.kind == "Deployment" && one.name == deploymentName {
			return podsIn(t, one.object)[0]
		}
	}
	t.Fatal("there is no Deployment")
	return corev1.PodTemplateSpec{}
}

// Neither the Service nor a network policy but the one that denies everything finds the copy's pod.
func TestVerifications_NothingLeadsToTheCopy(t *testing.T) {
	t.Parallel()
	objects := manifests(t, mustRun(t, community(verified(agentImage), watched)))
	labels := copyOf(t, objects).Labels
	finds := func(selector map[string]string) bool {
		for name, value := range selector {
			if labels[name] != value {
				return false
			}
		}
		return true
	}
	denied := false
	for _, one := range objects {
		switch one.kind {
		case "Service":
			if finds(decode[corev1.Service](t, []manifest{one}, one.kind, one.name).Spec.Selector) {
				t.Errorf("Service %s leads to the copy", one.name)
			}
		case "NetworkPolicy":
			spec := decode[networkingv1.NetworkPolicy](t, []manifest{one}, one.kind, one.name).Spec
			if !finds(spec.PodSelector.MatchLabels) {
				continue
			}
			denied = true
			if len(spec.Ingress)+len(spec.Egress) > 0 || len(spec.PolicyTypes) != 2 {
				t.Errorf("NetworkPolicy %s lets something through: %+v", one.name, spec)
			}
		}
	}
	if !denied {
		t.Error("no policy denies the copy anything")
	}
}

// Of the times each has room for those within it, and a job is given the claim that the database runs on.
func TestVerifications_TimesContainEachOther(t *testing.T) {
	t.Parallel()
	cfg := community(verified(agentImage), func(c *Config) { c.Generation, c.RestoreFrom.Snapshot = 2, "yesterday" })
	job := decode[batchv1.CronJob](t, manifests(t, mustRun(t, cfg)), "CronJob", verifyName)
	spec := job.Spec.JobTemplate.Spec
	least := (1 + int(*spec.BackoffLimit)) * (verifyRestore + verifyCheck + 2*cfg.verifyStart() + verifyCleanup)
	if *spec.ActiveDeadlineSeconds < int64(least) || *spec.Template.Spec.TerminationGracePeriodSeconds < verifyCleanup+60 {
		t.Errorf("a job ends after %d s, of which %d for the end", *spec.ActiveDeadlineSeconds, *spec.Template.Spec.TerminationGracePeriodSeconds)
	}
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || *job.Spec.TimeZone != "Etc/UTC" || job.Spec.Schedule != "0 4 * * 0" {
		t.Errorf("got %+v", job.Spec)
	}
	container := spec.Template.Spec.Containers[0]
	args := strings.Join(container.Args, " ")
	for _, want := range []string{"verify --namespace iris --claim iris-pvc-2 ", "--class ha-iris-verify-iris", "--pod $(POD_NAME) --pod-uid $(POD_UID)"} {
		if !strings.Contains(args, want) {
			t.Errorf("the arguments lack %s: %s", want, args)
		}
	}
	if len(container.Env) != 4 || container.Env[3].ValueFrom.FieldRef.FieldPath != "metadata.uid" {
		t.Errorf("the environment is %v", container.Env)
	}
}

// One that was stored encrypted is kept so.
func TestVerifications_AScheduleThatIsSecretStaysSo(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{true, false} {
		result := mustRun(t, community(verified(agentImage), func(c *Config) { c.Verifications.Secret = hidden }))
		for path, leaf := range testkit.Leaves(result.One(t, "kubernetes:batch/v1:CronJob", verifyName).Inputs) {
			if path == ".spec.schedule" && leaf.Secret != hidden {
				t.Errorf("secret %v: got %+v", hidden, leaf)
			}
		}
	}
}
