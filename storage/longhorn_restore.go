package storage

import (
	"fmt"
	"net/url"
	"strings"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// Longhorn fills a new volume from the backup that the parameter fromBackup of its class names (longhorn-manager csi/util.go,
// getVolumeOptions). So each generation of the claim after the first has a class of its own. It stays as long as the claim: a volume can
// grow only while its class is there (Kubernetes' admission plugin PersistentVolumeClaimResize).

const (
	// fromBackup is the parameter of a class.
	fromBackup = "fromBackup"
	// restoreKey is the key whose value is checked here.
	restoreKey = "iris.restoreFrom.backup"
	wantBackup = "the status.url of a backup, such as s3://BUCKET@REGION/PATH/?backup=backup-1a2b&volume=pvc-3c4d; they are listed by: " +
		listBackups
	listBackups = "kubectl -n " + namespaceName + " get backups.longhorn.io -o custom-columns=" +
		"WHEN:.status.backupCreatedAt,STATE:.status.state,SIZE:.status.volumeSize,URL:.status.url"
)

// backupAddress is a backup's URL: the target's address without options, to which the names of both are added (longhorn backupstore,
// EncodeBackupURL).
type backupAddress struct{ target, volume, backup string }

// parseBackupAddress returns what is wrong with a text that is no backup's URL.
func parseBackupAddress(text string) (address backupAddress, wrong string) {
	if len(text) > maxText {
		return address, fmt.Sprintf("%d characters", len(text))
	}
	scheme, _, _ := strings.Cut(text, "://")
	kind, known := backupSchemes()[scheme]
	if !known || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
		return address, "something else"
	}
	parsed, err := url.Parse(text)
	if err != nil { // Its text quotes the address.
		return address, "no valid address"
	}
	if _, login := parsed.User.Password(); login || parsed.Host == "" {
		return address, "an address with a password in it, or without a host"
	}
	query := parsed.Query()
	address.volume, address.backup = query.Get("volume"), query.Get("backup")
	if !rules.IsSubdomain(address.volume) || !rules.IsSubdomain(address.backup) {
		return address, "an address without the names of a backup and its volume"
	}
	if wrong := kind.checkOptions(parsed.RawQuery, "volume", "backup"); wrong != "" {
		return address, "an address with " + wrong
	}
	address.target = targetBase(text)
	return address, ""
}

// targetBase is what is compared of a target's address: without options, which do not say where it is, nor a last slash.
func targetBase(text string) string {
	return strings.TrimRight(Backup{Target: text}.publicTarget(), "/")
}

func checkLonghornRestore(path, backup string, found *problems.List) {
	if _, wrong := parseBackupAddress(backup); wrong != "" {
		found.AddSecret(path, wrong, wantBackup) // Not shown: a login may have been pasted into it.
	}
}

func laterClass(cfg Config, generation int) string {
	return fmt.Sprintf("%s-%d", cfg.ClassName, generation)
}

// laterClasses makes the classes of the generations after the first, and says what the rest of the program has to know of them.
func (s *Storage) laterClasses(
	ctx *pulumi.Context, name string, args *Args, keeper *keeper, first *storagev1.StorageClass,
) ([]pulumi.Resource, error) {
	restore := &longhornRestore{keeper: keeper, cfg: args.Config, generations: args.Generations}
	s.Restorer, s.LaterClasses = restore, map[int]string{}
	var classes []pulumi.Resource
	for _, generation := range args.Generations.later() {
		spec, backup := classOf(args.Config), ""
		if generation == args.Generations.Newest {
			backup = args.Generations.Backup
		}
		var own []pulumi.ResourceOption
		if backup != "" {
			spec.parameters[fromBackup] = backup
			guarded, err := guard.BeforeCreate(ctx, name+"-guard-restore", func(guard.Inputs, guard.Inputs) error {
				return restore.checkBackup(ctx.Context())
			})
			if err != nil {
				return nil, err
			}
			own = append(own, guarded)
		}
		class, err := s.laterClass(ctx, args, laterClass(args.Config, generation), spec, append(own,
			pulumi.DependsOn([]pulumi.Resource{first}))...) // Its guard has waited for the driver.
		if err != nil {
			return nil, err
		}
		classes, s.LaterClasses[generation] = append(classes, class), laterClass(args.Config, generation)
	}
	return classes, nil
}

func (s *Storage) laterClass(
	ctx *pulumi.Context, args *Args, name string, spec classSpec, own ...pulumi.ResourceOption,
) (*storagev1.StorageClass, error) {
	class, err := storagev1.NewStorageClass(ctx, name, &storagev1.StorageClassArgs{
		Metadata:             &metav1.ObjectMetaArgs{Name: pulumi.String(name), Labels: labels()},
		Provisioner:          pulumi.String(spec.provisioner),
		Parameters:           pulumi.ToStringMap(spec.parameters),
		ReclaimPolicy:        pulumi.String(spec.reclaimPolicy),
		AllowVolumeExpansion: pulumi.Bool(true),
		VolumeBindingMode:    pulumi.String(spec.volumeBindingMode),
		// They are of the one volume that was made with them: neither iris.restoreFrom nor storage.replicas changes them afterwards.
	}, s.options(args, append(own, pulumi.IgnoreChanges([]string{"parameters"}))...)...)
	if err != nil {
		return nil, fmt.Errorf("create StorageClass %s: %w", name, err)
	}
	return class, nil
}
