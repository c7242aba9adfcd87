package storage

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/secret"
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

// backupStore is where backups go, from the configuration or from the cluster's platform.
type backupStore struct {
	target pulumi.StringInput
	// shown is the target without mount options.
	shown pulumi.StringInput
	// credentials are the content of the Secret; none: there is no Secret.
	credentials pulumi.StringMap
	// podVariable and ready are those of traits.BackupStore.
	podVariable string
	ready       []pulumi.Resource
}

// backupStore returns nil when there are no backups.
func (a *Args) backupStore() (*backupStore, error) {
	cfg := a.Config
	switch {
	case !cfg.Backup.enabled():
		return nil, nil
	case !cfg.Backup.Managed:
		store := &backupStore{target: cfg.text(cfg.Backup.Target), shown: cfg.text(cfg.Backup.publicTarget()), credentials: pulumi.StringMap{}}
		given, _ := cfg.credentials() // Validate has refused what is no such object.
		for key, text := range given {
			store.credentials[key] = secret.New(text).Output()
		}
		return store, nil
	case a.BackupStore == nil: // The program's Validate has refused that.
		return nil, errors.New("storage.backup.managed: the cluster came without a bucket")
	default:
		made := a.BackupStore
		return &backupStore{made.Target, made.Target, made.Credentials, made.PodVariable, made.Ready}, nil
	}
}

// values are the chart's values for the backup target. The target "default" is an object that Longhorn makes and that its chart's
// values set.
func (b *backupStore) values(cfg Config) map[string]any {
	if b == nil {
		return nil
	}
	store := map[string]any{"backupTarget": b.target, "pollInterval": cfg.Backup.PollIntervalSeconds}
	if len(b.credentials) > 0 {
		store["backupTargetCredentialSecret"] = backupSecretName
	}
	return map[string]any{"defaultBackupStore": store}
}

// backupSecret makes the Secret that the target needs; nil if it needs none.
func (s *Storage) backupSecret(ctx *pulumi.Context, args *Args, store *backupStore, namespace *corev1.Namespace) (*corev1.Secret, error) {
	if store == nil || len(store.credentials) == 0 {
		return nil, nil
	}
	data, ok := pulumi.ToSecret(store.credentials.ToStringMapOutput().ApplyT(encoded)).(pulumi.StringMapOutput)
	if !ok { // ToSecret keeps the type, so this is unreachable.
		return nil, fmt.Errorf("create Secret %s: its content cannot be marked as secret", backupSecretName)
	}
	login, err := corev1.NewSecret(ctx, backupSecretName, &corev1.SecretArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(backupSecretName), Namespace: namespace.Metadata.Name().Elem(), Labels: labels(),
		},
		Data: data, // Not stringData: a key that is left out again would stay.
	}, s.options(args)...)
	if err != nil {
		return nil, fmt.Errorf("create Secret %s: %w", backupSecretName, err)
	}
	return login, nil
}

// encoded is a Secret's data.
func encoded(values map[string]string) map[string]string {
	data := map[string]string{}
	for key, text := range values {
		data[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return data
}

// backedUp is what backups depend on: the release, the class, which is written once Longhorn runs everywhere, and the Secret or nil.
type backedUp struct {
	release *release
	class   *storagev1.StorageClass
	secret  *corev1.Secret
	store   *backupStore
}

// prepareBackups makes what has to be there before Longhorn hears of the target.
func (s *Storage) prepareBackups(ctx *pulumi.Context, args *Args, namespace *corev1.Namespace) (backedUp, error) {
	store, err := args.backupStore()
	if err != nil {
		return backedUp{}, err
	}
	login, err := s.backupSecret(ctx, args, store, namespace)
	return backedUp{store: store, secret: login}, err
}

// before is what the release must wait for: Longhorn looks at the target as soon as it has its address, and pods of its get a
// platform's identity when they are made.
func (b backedUp) before() []pulumi.Resource {
	var before []pulumi.Resource
	if b.secret != nil {
		before = append(before, b.secret)
	}
	if b.store != nil {
		before = append(before, b.store.ready...)
	}
	return before
}

// longhornBackups makes the schedule and says what the rest of the program has to know of it.
func (s *Storage) longhornBackups(ctx *pulumi.Context, name string, args *Args, keeper *keeper, on backedUp) error {
	cfg := args.Config
	if on.store == nil {
		return nil
	}
	guarded, err := keeper.guardBackup(ctx, name, cfg, on)
	if err != nil {
		return err
	}
	s.ClaimLabels = longhornClaimLabels(cfg.Backup)
	s.BackupTarget = on.store.shown.ToStringOutput()
	s.RecoveryPoint = cfg.text(cfg.Backup.recoveryPoint()).ToStringOutput()
	// The class: its guard has waited for Longhorn, without which nobody looks at the target.
	return s.backupJob(ctx, args, on, guarded, pulumi.DependsOn([]pulumi.Resource{on.class}))
}

// backupJob makes the schedule. It is written only once Longhorn can use the target, and again whenever Helm or the Secret's content
// may have changed that.
func (s *Storage) backupJob(ctx *pulumi.Context, args *Args, on backedUp, own ...pulumi.ResourceOption) error {
	cfg := args.Config
	annotations := pulumi.StringMap{
		revisionAnnotation: on.release.revision(), targetAnnotation: on.store.shown,
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
