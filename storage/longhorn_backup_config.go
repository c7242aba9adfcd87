package storage

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

const (
	targetKey      = "storage.backup.target"
	credentialsKey = "backupCredentials"
	wantTarget     = "s3://BUCKET@REGION/PATH/, azblob://CONTAINER@core.windows.net/PATH/, nfs://HOST:/PATH or cifs://HOST/SHARE"
	// maxRetain is Longhorn's recurring-job-max-retention.
	maxRetain = 100
	// maxConsistent is a year of daily ones. Longhorn's limit is for its own jobs.
	maxConsistent = 365
	// maxPollInterval is a day: a target that is looked at less often is as good as never.
	maxPollInterval = 24 * 60 * 60
)

// defaultBackup has no target.
func defaultBackup() Backup {
	return Backup{
		PollIntervalSeconds: 300, // Longhorn's own.
		// What is lost with the volume is what was written since the last backup; each one takes only the blocks that changed since.
		Cron: "*/15 * * * *",
		// Six hours of them. Longhorn counts them against its limit of 100, and each is work when it is pruned.
		Retain: 24,
		// Once a day (backup.md): IRIS holds its writes for seconds meanwhile, and switches its journal.
		Consistent: Consistent{Enabled: true, Cron: "30 2 * * *", Retain: 14},
		// Off: it takes the volume's size and IRIS' memory once more. Once a week (backup.md), when little else is done.
		Verify: Verify{Cron: "0 4 * * 0"},
	}
}

// validateLonghornBackup adds every problem of the target, of its credentials and of both together. A target is no secret, but what is
// pasted into its key may be one, so no message shows it.
func (c Config) validateLonghornBackup(found *problems.List) {
	backup := c.Backup
	if backup.PollIntervalSeconds < 0 || backup.PollIntervalSeconds > maxPollInterval {
		found.Add("storage.backup.pollIntervalSeconds", backup.PollIntervalSeconds, fmt.Sprintf("0 (never) to %d, a day", maxPollInterval))
	}
	checkCron(found, "storage.backup.cron", backup.Cron, defaultBackup().Cron)
	checkCron(found, "storage.backup.consistent.cron", backup.Consistent.Cron, defaultBackup().Consistent.Cron)
	checkCron(found, "storage.backup.verify.cron", backup.Verify.Cron, defaultBackup().Verify.Cron)
	if kept := backup.Consistent.Retain; kept < 1 || kept > maxConsistent {
		found.Add("storage.backup.consistent.retain", kept, fmt.Sprintf("1 to %d", maxConsistent))
	}
	if backup.Retain < 1 || backup.Retain > maxRetain {
		found.Add("storage.backup.retain", backup.Retain, fmt.Sprintf("1 to %d, which is Longhorn's limit", maxRetain))
	}
	if !backup.enabled() {
		c.refuseWithoutTarget(found)
		return
	}
	if value(c.Values, "defaultBackupStore") != nil {
		found.AddSecret("storage.values.defaultBackupStore", "a value", "nothing beside storage.backup, which sets the same")
	}
	if backup.Managed {
		c.refuseBesideManaged(found)
		return
	}
	scheme, known := checkTarget(backup.Target, found)
	if known {
		c.checkCredentials(scheme, found)
	}
	given, _ := c.credentials()
	c.refuseBeforeGoogle(given["AWS_ENDPOINTS"], found)
}

func checkCron(found *problems.List, key, cron, usual string) {
	if _, err := rules.ParseCron(cron); err != nil {
		found.Add(key, cron, fmt.Sprintf("minute, hour, day of the month, month and day of the week in UTC, such as %s (%v)", usual, err))
	}
}

// refuseBesideManaged refuses a second answer to the question where backups go.
func (c Config) refuseBesideManaged(found *problems.List) {
	if c.Backup.Target != "" {
		found.AddSecret(targetKey, "a value", "nothing beside storage.backup.managed, which makes a bucket; one of the two")
	}
	if c.BackupCredentials.IsSet() {
		found.AddSecret(credentialsKey, "a value", "nothing beside storage.backup.managed, which makes its login; run: pulumi config rm "+credentialsKey)
	}
}

// refuseWithoutTarget refuses what would do nothing.
func (c Config) refuseWithoutTarget(found *problems.List) {
	if c.Backup.Verify.Enabled {
		found.Add("storage.backup.verify.enabled", true, "false without backups; set "+targetKey+" or storage.backup.managed")
	}
	if c.BackupCredentials.IsSet() {
		found.AddSecret(credentialsKey, "a value", "nothing without "+targetKey+", whose login it is; set that, or run: pulumi config rm "+credentialsKey)
	}
}

// backupScheme is a kind of backup target (Longhorn's "Setting a Backup Target", and the drivers in its backupstore).
type backupScheme struct {
	// form is how its address looks.
	form string
	// check returns what is wrong with an address; "" if nothing is.
	check func(address *url.URL) string
	// options is the only parameter that the address may have; empty: none.
	options string
	// keys may be in the credentials; what must be in them is for missing to say. Nil: there are no credentials.
	keys    []string
	missing func(given map[string]string) string
}

// backupSchemes are those that Longhorn has.
func backupSchemes() map[string]backupScheme {
	network := []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
	return map[string]backupScheme{
		"s3": {
			form: "s3://BUCKET@REGION/PATH/", check: checkS3, missing: missingForS3,
			keys: append([]string{
				"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_IAM_ROLE_ARN", "AWS_ENDPOINTS", "AWS_CERT", "VIRTUAL_HOSTED_STYLE",
			}, network...),
		},
		"azblob": {
			form: "azblob://CONTAINER@core.windows.net/PATH/", check: checkAzblob, missing: allOf("AZBLOB_ACCOUNT_NAME", "AZBLOB_ACCOUNT_KEY"),
			keys: append([]string{"AZBLOB_ACCOUNT_NAME", "AZBLOB_ACCOUNT_KEY", "AZBLOB_ENDPOINT", "AZBLOB_CERT"}, network...),
		},
		"nfs": {form: "nfs://HOST:/PATH", check: checkNFS, options: "nfsOptions"},
		"cifs": {
			form: "cifs://HOST/SHARE", check: checkCIFS, options: "cifsOptions", missing: allOf("CIFS_USERNAME", "CIFS_PASSWORD"),
			keys: []string{"CIFS_USERNAME", "CIFS_PASSWORD"},
		},
	}
}

// checkTarget adds what is wrong with the target, and returns its scheme if that is known.
func checkTarget(target string, found *problems.List) (scheme string, known bool) {
	refuse := func(got, want string) { found.AddSecret(targetKey, got, want) }
	if len(target) > maxText {
		refuse(fmt.Sprintf("%d characters", len(target)), fmt.Sprintf("at most %d", maxText))
		return "", false
	}
	scheme, _, _ = strings.Cut(target, "://")
	kind, known := backupSchemes()[scheme]
	if !known {
		refuse("something that begins otherwise", wantTarget)
		return "", false
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
		refuse("a blank, a # or another character that no target has", kind.form)
		return scheme, true
	}
	address, err := url.Parse(target)
	if err != nil { // Its text quotes the address.
		refuse("no valid address", kind.form)
		return scheme, true
	}
	if _, login := address.User.Password(); login {
		refuse("an address with a password in it", kind.form+"; a login is the secret "+credentialsKey)
		return scheme, true
	}
	if wrong := kind.check(address); wrong != "" {
		refuse(wrong, kind.form)
	}
	if wrong := kind.checkOptions(address.RawQuery); wrong != "" {
		refuse(wrong, kind.form)
	}
	return scheme, true
}

// checkOptions returns what is wrong with what follows the address: mount options are all that may, and the named ones.
func (s backupScheme) checkOptions(parameters string, named ...string) string {
	query, err := url.ParseQuery(parameters) // What cannot be read must not pass unseen.
	if err != nil {
		return "parameters that cannot be read"
	}
	for name, values := range query {
		if slices.Contains(named, name) {
			continue
		}
		if s.options == "" || name != s.options {
			return "parameters that it does not take"
		}
		for _, value := range values {
			for option := range strings.SplitSeq(value, ",") {
				key, _, _ := strings.Cut(option, "=")
				if secretOption().MatchString(key) {
					return "a login among its " + s.options + ", which belongs into the secret " + credentialsKey
				}
			}
		}
	}
	return ""
}

var (
	// bucketName is S3's rule, which the other stores with its protocol share but for capitals and underscores of old buckets.
	bucketName = pattern.Lazy(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	// regionName is a region, or a location of Google's such as us.
	regionName = pattern.Lazy(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// containerName is the rule for containers of blobs; $root and $logs are not for backups.
	containerName = pattern.Lazy(`^[a-z0-9](-?[a-z0-9]){2,62}$`)
	hostName      = pattern.Lazy(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	serviceName   = pattern.Lazy(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	secretOption  = pattern.Lazy(`(?i)^(user(name)?|pass(word)?|pw|pass2|password2|cred(entials)?)$`)
)

func checkS3(address *url.URL) string {
	switch {
	case address.User == nil:
		return "an address without a region"
	case !bucketName().MatchString(address.User.Username()):
		return "no bucket of S3 before the @: 3 to 63 of lower-case letters, digits, '.' and '-'"
	case !regionName().MatchString(address.Host):
		return "no region after the @"
	default:
		return checkSlash(address)
	}
}

func checkAzblob(address *url.URL) string {
	switch {
	case address.User == nil:
		return "an address without the service behind an @"
	case !containerName().MatchString(address.User.Username()):
		return "no container before the @: 3 to 63 of lower-case letters, digits and single '-'"
	case !serviceName().MatchString(address.Host):
		return "no service after the @, without the account's name"
	default:
		return checkSlash(address)
	}
}

// checkSlash: what Longhorn appends to an address without its last slash is no path of the bucket (backupstore, s3 and azblob drivers).
func checkSlash(address *url.URL) string {
	switch {
	case !strings.HasSuffix(address.Path, "/"):
		return "an address without a slash at its end"
	case strings.Contains(address.Path, "//"):
		return "two slashes in a row in its path"
	default:
		return ""
	}
}

func checkNFS(address *url.URL) string {
	host := strings.TrimSuffix(address.Host, ":"+address.Port())
	switch {
	case address.User != nil || !hostName().MatchString(host) && !isIPv6(host):
		return "no host"
	case !strings.HasSuffix(address.Host, ":"):
		return "no colon between host and path, with which NFS separates them, or a port"
	case strings.Trim(address.Path, "/") == "":
		return "no path"
	default:
		return ""
	}
}

func checkCIFS(address *url.URL) string {
	switch {
	case address.User != nil:
		return "a login in the address, which belongs into the secret " + credentialsKey
	case !hostName().MatchString(address.Host) && !isIPv6(address.Host):
		return "no host"
	case strings.Trim(address.Path, "/") == "":
		return "no share"
	default:
		return ""
	}
}

// isIPv6 takes an address in brackets; url.Parse has looked into them.
func isIPv6(host string) bool { return strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") }

// publicTarget is the target without its mount options, for outputs and messages.
func (b Backup) publicTarget() string {
	target, _, _ := strings.Cut(b.Target, "?")
	return target
}
