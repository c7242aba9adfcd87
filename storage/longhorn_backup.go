package storage

import (
	"encoding/base64"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// backupSecretName is the Secret with the login of the backup target. Longhorn takes one from its own namespace only.
	backupSecretName = "ha-iris-backup-target"
	// backupJobName and backupGroup are the recurring job and the group of volumes that it is for.
	backupJobName, backupGroup = "iris-backup", "iris"

	// targetAnnotation on the job is the target that has to be available before the job is written.
	targetAnnotation = "ha-iris/backup-target"
	// secretAnnotation on the job is the version of the Secret with which it was.
	secretAnnotation = "ha-iris/backup-secret-version"
)

// longhornClaimLabels are the labels of a claim whose volume is backed up. The first makes Longhorn take a volume's jobs from its claim,
// and only from there (longhorn-manager, volume_controller.go, updateRecurringJobs).
func longhornClaimLabels(backup Backup) map[string]string {
	if !backup.enabled() {
		return nil
	}
	return map[string]string{
		"recurring-job.longhorn.io/source": "enabled", "recurring-job-group.longhorn.io/" + backupGroup: "enabled",
	}
}

// backupValues are the chart's values for the backup target. The target "default" is an object that Longhorn makes and that its
// chart's values set.
func backupValues(cfg Config) map[string]any {
	if !cfg.Backup.enabled() {
		return nil
	}
	store := map[string]any{
		"backupTarget": cfg.text(cfg.Backup.Target),
		"pollInterval": cfg.Backup.PollIntervalSeconds,
	}
	if cfg.BackupCredentials.IsSet() {
		store["backupTargetCredentialSecret"] = backupSecretName
	}
	return map[string]any{"defaultBackupStore": store}
}

// backupSecret makes the Secret that the target needs; nil if it needs none.
func (s *Storage) backupSecret(ctx *pulumi.Context, args *Args, namespace *corev1.Namespace) (*corev1.Secret, error) {
	if !args.Config.Backup.enabled() || !args.Config.BackupCredentials.IsSet() {
		return nil, nil
	}
	given, _ := args.Config.credentials() // Validate has refused what is no such object.
	data := pulumi.StringMap{}
	for key, value := range given {
		data[key] = pulumi.String(base64.StdEncoding.EncodeToString([]byte(value)))
	}
	secretData, ok := pulumi.ToSecret(data).(pulumi.StringMapOutput)
	if !ok { // ToSecret keeps the type, so this is unreachable.
		return nil, fmt.Errorf("create Secret %s: its content cannot be marked as secret", backupSecretName)
	}
	secret, err := corev1.NewSecret(ctx, backupSecretName, &corev1.SecretArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(backupSecretName), Namespace: namespace.Metadata.Name().Elem(), Labels: labels(),
		},
		Data: secretData, // Not stringData: a key that is left out again would stay.
	}, s.options(args)...)
	if err != nil {
		return nil, fmt.Errorf("create Secret %s: %w", backupSecretName, err)
	}
	return secret, nil
}

// backedUp is what backups depend on: the release, the class, which is written once Longhorn runs everywhere, and the Secret or nil.
type backedUp struct {
	release *release
	class   *storagev1.StorageClass
	secret  *corev1.Secret
}

// longhornBackups makes the schedule and says what the rest of the program has to know of it.
func (s *Storage) longhornBackups(ctx *pulumi.Context, name string, args *Args, keeper *keeper, on backedUp) error {
	cfg := args.Config
	if !cfg.Backup.enabled() {
		return nil
	}
	guarded, err := keeper.guardBackup(ctx, name, cfg)
	if err != nil {
		return err
	}
	s.ClaimLabels = longhornClaimLabels(cfg.Backup)
	s.BackupTarget = cfg.text(cfg.Backup.publicTarget()).ToStringOutput()
	s.RecoveryPoint = cfg.text(cfg.Backup.recoveryPoint()).ToStringOutput()
	// The class: its guard has waited for Longhorn, without which nobody looks at the target.
	return s.backupJob(ctx, args, on, guarded, pulumi.DependsOn([]pulumi.Resource{on.release, on.class}))
}

// backupJob makes the schedule. It is written only once Longhorn can use the target, and again whenever Helm or the Secret's content
// may have changed that.
func (s *Storage) backupJob(ctx *pulumi.Context, args *Args, on backedUp, own ...pulumi.ResourceOption) error {
	cfg := args.Config
	annotations := pulumi.StringMap{
		revisionAnnotation: on.release.revision(), targetAnnotation: cfg.text(cfg.Backup.publicTarget()),
	}
	if on.secret != nil {
		annotations[secretAnnotation] = on.secret.Metadata.ResourceVersion().Elem()
	}
	_, err := apiextensions.NewCustomResource(ctx, backupJobName, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("longhorn.io/v1beta2"),
		Kind:       pulumi.String("RecurringJob"),
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(backupJobName), Namespace: pulumi.String(namespaceName), Labels: labels(), Annotations: annotations,
		},
		OtherFields: kubernetes.UntypedArgs{"spec": map[string]any{
			"name": backupJobName, "task": "backup", "groups": []any{backupGroup},
			"cron": cfg.text(cfg.Backup.Cron), "retain": cfg.Backup.Retain,
			"concurrency": 1, // How many volumes at once; there is one.
		}},
	}, s.options(args, own...)...)
	if err != nil {
		return fmt.Errorf("create RecurringJob %s: %w", backupJobName, err)
	}
	return nil
}
