package storage_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
	"ha-iris/internal/traits"
	"ha-iris/storage"
)

const (
	jobType    = "kubernetes:longhorn.io/v1beta2:RecurringJob"
	secretType = "kubernetes:core/v1:Secret"
	bucket     = "s3://acme-backups@eu-west-1/iris/"
)

func TestBackup_GivesTheLoginBeforeTheTargetAndTheScheduleAfterBoth(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		recorder := run(t, storage.Args{Config: backedUp(bucket, s3Login), Traits: dedicated(), Protect: true}, preview)
		release, job := recorder.One(t, releaseType, "longhorn"), recorder.One(t, jobType, "iris-backup")
		if !dependsOn(release, secretType) {
			t.Error("Longhorn would look at the target before its login is there")
		}
		if !dependsOn(job, releaseType) || !dependsOn(job, "StorageClass") {
			t.Error("the schedule must wait for Longhorn, which the class has waited for")
		}
		hooks := job.RegisterRPC.GetHooks()
		if want := []string{"storage-guard-backup"}; !slices.Equal(hooks.GetBeforeCreate(), want) || !slices.Equal(hooks.GetBeforeUpdate(), want) {
			t.Errorf("the schedule has hooks %v, want %v", hooks, want)
		}
		if len(hooks.GetBeforeDelete())+len(hooks.GetAfterDelete()) > 0 {
			t.Error("the schedule has hooks that would make a destroy fail")
		}
	}
}

func TestBackup_TellsTheChartTheTargetAndLonghornTheSchedule(t *testing.T) {
	t.Parallel()
	cfg := backedUp(bucket, s3Login)
	cfg.Backup.Cron, cfg.Backup.Retain, cfg.Backup.PollIntervalSeconds = "0 * * * *", 7, 60
	recorder := run(t, storage.Args{Config: cfg, Traits: dedicated()}, false)
	values := testkit.Leaves(recorder.One(t, releaseType, "longhorn").Inputs)
	job := testkit.Leaves(recorder.One(t, jobType, "iris-backup").Inputs)
	for path, want := range map[string]string{
		".values.defaultBackupStore.backupTarget":                 bucket,
		".values.defaultBackupStore.backupTargetCredentialSecret": "ha-iris-backup-target",
		".values.defaultBackupStore.pollInterval":                 "60",
		".values.defaultSettings.defaultReplicaCount":             "3",
	} {
		if values[path].Text != want {
			t.Errorf("%s is %q, want %q", path, values[path].Text, want)
		}
	}
	for path, want := range map[string]string{
		".metadata.name": "iris-backup", ".metadata.namespace": "longhorn-system", ".spec.name": "iris-backup", ".spec.task": "backup",
		".spec.cron": "0 * * * *", ".spec.retain": "7", ".spec.groups[0]": "iris", ".spec.concurrency": "1",
		".metadata.annotations.ha-iris/backup-target": bucket,
	} {
		if job[path].Text != want {
			t.Errorf("%s is %q, want %q", path, job[path].Text, want)
		}
	}
}

// A login is in the Secret and nowhere else, and there in the state only encrypted.
func TestBackup_KeepsTheLoginSecret(t *testing.T) {
	t.Parallel()
	recorder := run(t, storage.Args{Config: backedUp(bucket, s3Login), Traits: dedicated()}, false)
	given := 0
	for _, registration := range recorder.Registrations() {
		for path, leaf := range testkit.Leaves(registration.Inputs) {
			decoded, err := base64.StdEncoding.DecodeString(leaf.Text)
			if !strings.Contains(leaf.Text, leaked) && (err != nil || !strings.Contains(string(decoded), leaked)) {
				continue
			}
			if given++; !leaf.Secret || registration.TypeToken != secretType || !strings.HasPrefix(path, ".data.AWS_") {
				t.Errorf("%s has it at %s, secret: %t", registration.Name, path, leaf.Secret)
			}
		}
	}
	if given != 2 {
		t.Errorf("%d values of the login arrive, want 2", given)
	}
}

func TestBackup_NeedsNoSecretForNFS(t *testing.T) {
	t.Parallel()
	cfg := backedUp("nfs://nas.example.com:/backups?nfsOptions=soft", "")
	recorder := run(t, storage.Args{Config: cfg, Traits: dedicated()}, false)
	if found := recorder.Find(secretType); len(found) > 0 {
		t.Errorf("%d Secrets", len(found))
	}
	values := testkit.Leaves(recorder.One(t, releaseType, "longhorn").Inputs)
	if _, given := values[".values.defaultBackupStore.backupTargetCredentialSecret"]; given {
		t.Error("the target has a Secret that does not exist")
	}
	recorder.One(t, jobType, "iris-backup")
}

func TestBackup_WithoutATargetThereIsNothingOfIt(t *testing.T) {
	t.Parallel()
	recorder := run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated()}, false)
	if found := append(recorder.Find(jobType), recorder.Find(secretType)...); len(found) > 0 {
		t.Errorf("%d objects", len(found))
	}
	for path := range testkit.Leaves(recorder.One(t, releaseType, "longhorn").Inputs) {
		if strings.Contains(path, "defaultBackupStore") {
			t.Errorf("the chart gets %s", path)
		}
	}
}

// While a value of storage is secret, it is not known which one.
func TestBackup_HidesTheTargetAmongSecrets(t *testing.T) {
	t.Parallel()
	cfg := backedUp(bucket, s3Login)
	cfg.Secret = true
	recorder := run(t, storage.Args{Config: cfg, Traits: dedicated()}, false)
	for _, registration := range recorder.Registrations() {
		for path, leaf := range testkit.Leaves(registration.Inputs) {
			if (strings.Contains(leaf.Text, "acme-backups") || strings.Contains(leaf.Text, "*/15")) && !leaf.Secret {
				t.Errorf("%s shows it at %s", registration.Name, path)
			}
		}
	}
	cfg.Backup.Target = "s3://" + leaked + "@eu-west-1/x"
	if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), leaked) {
		t.Errorf("got %v", err)
	}
}

// told is what the rest of the program hears of backups.
func told(t *testing.T, cfg storage.Config) (labels map[string]string, outputs [2]string) {
	t.Helper()
	recorder := &testkit.Recorder{}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "cluster", nil)
		if err != nil {
			return fmt.Errorf("create provider: %w", err)
		}
		made, err := storage.New(ctx, "storage", &storage.Args{Config: cfg, Provider: provider})
		if err != nil {
			return err
		}
		labels = made.ClaimLabels
		ctx.Export("told", pulumi.All(made.BackupTarget, made.RecoveryPoint).ApplyT(func(values []any) string {
			for i := range outputs {
				outputs[i], _ = values[i].(string)
			}
			return ""
		}))
		return nil
	}, testkit.Options{})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return labels, outputs
}

func TestBackup_IsToldToTheDatabaseAndTheOutputs(t *testing.T) {
	t.Parallel()
	labels, outputs := told(t, backedUp("nfs://nas:/backups?nfsOptions=soft", ""))
	want := map[string]string{"recurring-job.longhorn.io/source": "enabled", "recurring-job-group.longhorn.io/iris": "enabled"}
	if !maps.Equal(labels, want) {
		t.Errorf("the claim gets %v, want %v", labels, want)
	}
	if want := [2]string{"nfs://nas:/backups", "15m"}; outputs != want {
		t.Errorf("the outputs are %q, want %q", outputs, want)
	}
	none := storage.DefaultConfig()
	if labels, outputs := told(t, none); len(labels) > 0 || outputs != [2]string{} {
		t.Errorf("without backups: %v, %q", labels, outputs)
	}
	for cron, want := range map[string]string{"0 3 * * *": "24h", "0 0 1 * *": "744h", "0,10 * * * *": "50m", "30 */5 * * *": "5h", "0,40 */2 * * *": "1h20m"} {
		cfg := backedUp(bucket, s3Login)
		cfg.Backup.Cron = cron
		if _, outputs := told(t, cfg); outputs[1] != want {
			t.Errorf("%s: the recovery point is %q, want %q", cron, outputs[1], want)
		}
	}
}

func TestBackup_UsesTheBucketThatTheClusterComesWith(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Backup.Managed = true
	var made *traits.BackupStore
	recorder := &testkit.Recorder{}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "cluster", nil)
		if err != nil {
			return fmt.Errorf("create provider: %w", err)
		}
		made = &traits.BackupStore{
			Target: pulumi.String("s3://made@eu/").ToStringOutput(), Credentials: pulumi.StringMap{"KEY": pulumi.String(leaked)},
			Ready: []pulumi.Resource{provider},
		}
		_, err = storage.New(ctx, "storage", &storage.Args{Config: cfg, Provider: provider, BackupStore: made})
		return err
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	release := recorder.One(t, releaseType, "longhorn")
	if got := testkit.Leaves(release.Inputs)[".values.defaultBackupStore.backupTarget"].Text; got != "s3://made@eu/" {
		t.Errorf("the target is %q", got)
	}
	if !dependsOn(release, "pulumi:providers") {
		t.Error("Longhorn's pods would be made before they can have the bucket's identity")
	}
	for path, leaf := range testkit.Leaves(recorder.One(t, secretType, "ha-iris-backup-target").Inputs) {
		if strings.HasPrefix(path, ".data.") && !leaf.Secret {
			t.Errorf("%s is not secret", path)
		}
	}
}
