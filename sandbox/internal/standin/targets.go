package standin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"ha-iris/sandbox/internal/datapath/bucket"
)

// A backup target's bucket is a directory of the cluster's state, one per URL, which real nodes see under the same path. Its
// protocol is not spoken: the URL's form and the Secret's keys are looked at as Longhorn and its drivers do.

const (
	defaultTarget = "default"
	// defaultPoll is backupstore-poll-interval's default (longhorn.md 7).
	defaultPoll = 5 * time.Minute
	// credentialRetry is how soon a target is looked at again whose Secret is missing: the original's queue tries with growing pauses.
	credentialRetry = 5 * time.Second

	resourceConfigMap = "longhorn-default-resource"
	resourceKey       = "default-resource.yaml"

	// Labels of backups and backup volumes (longhorn-manager types/types.go).
	targetLabel       = "backup-target"
	backupVolumeLabel = "backup-volume"
)

// targetLook is as what a backup target was looked at, and when it is looked at next; zero is never.
type targetLook struct {
	spec string
	next time.Time
}

// syncTargets keeps the default target and looks at all of them when it is time (backup_target_controller.go).
func (c *standIn) syncTargets(ctx context.Context, s *state) error {
	if err := c.syncDefaultTarget(ctx, s); err != nil {
		return err
	}
	var errs []error
	for _, target := range slices.Clone(s.others[targetKind]) {
		if target.GetDeletionTimestamp() != nil {
			errs = append(errs, c.forgetBackups(ctx, s, target.GetName()), c.drop(ctx, s, targetKind, target))
			continue
		}
		errs = append(errs, c.syncTarget(ctx, s, target))
	}
	return errors.Join(errs...)
}

// syncDefaultTarget makes the default target, and writes what the chart's ConfigMap says into it whenever that changes. What it
// does not say stays (longhorn.md 3.2).
func (c *standIn) syncDefaultTarget(ctx context.Context, s *state) error {
	values, version := map[string]string{}, ""
	config, err := c.cache.configMaps.ConfigMaps(s.namespace).Get(resourceConfigMap)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look up Longhorn's default backup target: %w", err)
	}
	if err == nil {
		version = string(config.UID) + config.ResourceVersion
		if err := yaml.Unmarshal([]byte(config.Data[resourceKey]), &values); err != nil {
			c.log.Warn("default backup target skipped: not valid", "error", err)
			values = map[string]string{}
		}
	}
	target := s.find(targetKind, defaultTarget)
	if target != nil && c.targetApplied == s.namespace+"@"+version {
		return nil
	}
	if target == nil {
		target = newObject(s.namespace, targetKind, defaultTarget)
		target.SetFinalizers([]string{longhornFinalizer})
		target.Object["spec"] = map[string]any{"backupTargetURL": "", "credentialSecret": "", "pollInterval": defaultPoll.String()}
		if target, err = c.add(ctx, s, targetKind, target); err != nil {
			return err
		}
	}
	before := target.DeepCopy()
	for key, field := range map[string]string{"backup-target": "backupTargetURL", "backup-target-credential-secret": "credentialSecret"} {
		if value, given := values[key]; given {
			put(target, value, "spec", field)
		}
	}
	if seconds, err := strconv.Atoi(values["backupstore-poll-interval"]); err == nil {
		put(target, (time.Duration(seconds) * time.Second).String(), "spec", "pollInterval")
	}
	c.targetApplied = s.namespace + "@" + version
	return c.longhorn.save(ctx, targetKind, before, target)
}

// syncTarget looks at a target when its specification has changed, when somebody asks for it, and at its poll interval.
func (c *standIn) syncTarget(ctx context.Context, s *state, target *unstructured.Unstructured) error {
	before, name := target.DeepCopy(), target.GetName()
	target.SetFinalizers([]string{longhornFinalizer})
	spec := strings.Join([]string{
		textAt(target, "spec", "backupTargetURL"), textAt(target, "spec", "credentialSecret"), textAt(target, "spec", "syncRequestedAt"),
	}, "\n")
	last, looked := c.looks[name]
	if looked && last.spec == spec && (last.next.IsZero() || c.clock.Now().Before(last.next)) {
		return c.longhorn.save(ctx, targetKind, before, target)
	}
	look := targetLook{spec: spec}
	if poll, err := time.ParseDuration(textAt(target, "spec", "pollInterval")); err == nil && poll > 0 {
		look.next = c.clock.Now().Add(poll)
	}
	if err := c.examineTarget(ctx, s, target, &look); err != nil {
		return err
	}
	c.looks[name] = look
	return c.longhorn.save(ctx, targetKind, before, target)
}

// examineTarget finds out whether the target can be reached and what is in it. One whose Secret is missing stays as it is, without
// a condition: the original only logs that.
func (c *standIn) examineTarget(ctx context.Context, s *state, target *unstructured.Unstructured, look *targetLook) error {
	address := textAt(target, "spec", "backupTargetURL")
	if address == "" {
		look.next = time.Time{}
		delete(mapAt(target, "status"), "lastSyncedAt")
		c.unavailable(target, "backup target URL is empty")
		return c.forgetBackups(ctx, s, target.GetName())
	}
	secret, err := c.credential(s, target)
	if err != nil {
		c.log.Warn("failed to init backup target clients", "target", target.GetName(), "error", err)
		put(target, truthAt(target, "status", "available"), "status", "available")
		look.next = c.clock.Now().Add(credentialRetry)
		return nil
	}
	store, err := c.open(target, secret)
	if err != nil {
		if textAt(target, "status", "lastSyncedAt") == "" { // a target that was never reached is tried at each resync
			look.next = c.clock.Now().Add(podResync)
		}
		c.unavailable(target, fmt.Sprintf("failed to list system backups in %s: %v", address, err))
		return nil
	}
	put(target, true, "status", "available")
	put(target, withCondition(conditionsOf(target), c.now(), "Unavailable", conditionStatus(false), "", ""), "status", "conditions")
	put(target, c.now(), "status", "lastSyncedAt")
	return c.syncBackupVolumes(ctx, s, target, store)
}

func (c *standIn) unavailable(target *unstructured.Unstructured, message string) {
	put(target, false, "status", "available")
	put(target, withCondition(conditionsOf(target), c.now(), "Unavailable", conditionStatus(true), "Unavailable", message),
		"status", "conditions")
}

// credential is the content of the target's Secret, for the schemes that need one.
func (c *standIn) credential(s *state, target *unstructured.Unstructured) (map[string][]byte, error) {
	scheme, _, _ := strings.Cut(textAt(target, "spec", "backupTargetURL"), ":")
	if scheme != "s3" && scheme != "azblob" && scheme != "cifs" {
		return nil, nil
	}
	name := textAt(target, "spec", "credentialSecret")
	if name == "" {
		return nil, fmt.Errorf("could not access %s without credential secret", scheme)
	}
	secret, err := c.cache.secrets.Secrets(s.namespace).Get(name)
	if err != nil {
		return nil, fmt.Errorf("credential secret %s: %w", name, err)
	}
	return secret.Data, nil
}

// trouble is a file in a bucket's directory, which tests and people make: the bucket cannot be reached, for the reason in it.
const trouble = "unreachable"

// unsafe is what a bucket's address has and a directory's name should not.
var unsafe = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// bucketDir is the directory of a target's bucket. Options behind a question mark do not make another one.
func (c *standIn) bucketDir(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return filepath.Join(c.buckets, strings.Trim(unsafe.ReplaceAllString(address, "-"), "-")+"-"+checksum(address, 8))
}

// open returns the target's bucket, or why it cannot be reached.
func (c *standIn) open(target *unstructured.Unstructured, secret map[string][]byte) (bucket.Bucket, error) {
	address := textAt(target, "spec", "backupTargetURL")
	if err := checkAddress(address); err != nil {
		return bucket.Bucket{}, err
	}
	if err := checkCredential(address, secret); err != nil {
		return bucket.Bucket{}, err
	}
	if c.buckets == "" {
		return bucket.Bucket{}, errors.New("the sandbox has no directory for buckets")
	}
	store := bucket.Bucket{Dir: c.bucketDir(address)}
	reason, err := os.ReadFile(filepath.Join(store.Dir, trouble))
	if err == nil {
		return bucket.Bucket{}, errors.New(strings.TrimSpace(string(reason)))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return bucket.Bucket{}, fmt.Errorf("open bucket: %w", err)
	}
	return store, nil
}

// checkAddress is what the drivers of the backup store want of a URL (longhorn.md 7).
func checkAddress(address string) error {
	parsed, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("backup target URL: %w", err)
	}
	switch {
	case parsed.Scheme == "s3" && (parsed.Host == "" || parsed.Path == ""):
		return errors.New("invalid URL. Must be either s3://bucket@region/path/, or s3://bucket/path")
	case parsed.Scheme == "azblob" && (parsed.Host == "" || parsed.Path == ""):
		return errors.New("invalid URL. Must be azblob://container@serviceurl/path/")
	case parsed.Scheme == "nfs" && (parsed.Host == "" || parsed.Path == ""):
		return errors.New("NFS path must follow: nfs://server:/path/ format")
	case parsed.Scheme == "cifs" && (parsed.Host == "" || parsed.Path == ""):
		return errors.New("CIFS path must follow: cifs://server/path/ format")
	}
	if !slices.Contains([]string{"s3", "azblob", "nfs", "cifs"}, parsed.Scheme) {
		return fmt.Errorf("driver %s is not supported", parsed.Scheme)
	}
	return nil
}

// checkCredential is what the manager wants of a Secret (longhorn-manager engineapi/backups.go): for S3 the two keys, or a role and
// then what the pod finds on its cloud. Keys are not compared with anything.
func checkCredential(address string, secret map[string][]byte) error {
	missing := func(names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return len(secret[name]) > 0 })
	}
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "s3":
		if left := missing("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"); len(left) > 0 && len(secret["AWS_IAM_ROLE_ARN"]) == 0 {
			return fmt.Errorf("could not backup to s3, missing %v in the secret", left)
		}
	case "azblob": // its driver builds a connection string of them
		if left := missing("AZBLOB_ACCOUNT_NAME", "AZBLOB_ACCOUNT_KEY"); len(left) > 0 {
			return fmt.Errorf("failed to create Azure client: missing %v", left)
		}
	}
	return nil
}

// targetOf returns a target by name and its bucket; an error says why it cannot be used now.
func (c *standIn) targetOf(s *state, name string) (*unstructured.Unstructured, bucket.Bucket, error) {
	target := s.find(targetKind, name)
	if target == nil {
		return nil, bucket.Bucket{}, fmt.Errorf("failed to get backup target %s", name)
	}
	secret, err := c.credential(s, target)
	if err == nil {
		var store bucket.Bucket
		if store, err = c.open(target, secret); err == nil {
			return target, store, nil
		}
	}
	return target, bucket.Bucket{}, fmt.Errorf("backup target %s is not available: %w", name, err)
}

// targetName is that of the target that the volume is backed up to.
func targetName(volume *unstructured.Unstructured) string {
	if name := textAt(volume, "spec", "backupTargetName"); name != "" {
		return name
	}
	return defaultTarget
}
