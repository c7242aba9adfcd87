package storage

import (
	"strings"
	"time"

	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// Backup says where the database volume is backed up to, and when.
type Backup struct {
	// Target is where backups go: s3://BUCKET@REGION/PATH/, azblob://CONTAINER@core.windows.net/PATH/, nfs://HOST:/PATH or
	// cifs://HOST/SHARE; the login is the secret backupCredentials. Default: empty, no backups.
	Target string `json:"target"`
	// Managed makes a bucket or a container for the backups on the stack's cloud, with an identity that may use it and nothing else.
	// Default: false.
	Managed bool `json:"managed"`
	// PollIntervalSeconds is how often the target is looked at for backups that others made, and whether it can still be reached; 0
	// never. Default: 300.
	PollIntervalSeconds int `json:"pollIntervalSeconds"`
	// Cron is when backups are made, in UTC: minute, hour, day of the month, month, day of the week. Default: every 15 minutes.
	Cron string `json:"cron"`
	// Retain is how many of them are kept, 1 to 100. Default: 24.
	Retain int `json:"retain"`
	// Consistent are backups of another kind, for which IRIS is frozen.
	Consistent Consistent `json:"consistent"`
	// Verify has the last backup restored into a copy, which is checked and deleted.
	Verify Verify `json:"verify"`
}

// Verify says when the last backup is verified.
type Verify struct {
	// Enabled restores the last backup into a volume of its own, starts IRIS on it where nobody can reach it, checks its databases and
	// deletes it again; needs a target and an image of the agent (failover.image). Default: false.
	Enabled bool `json:"enabled"`
	// Cron is when that is done, in UTC: minute, hour, day of the month, month, day of the week. Default: 4:00 each Sunday.
	Cron string `json:"cron"`
}

// Consistent says when the volume is backed up while IRIS is frozen, beside the other backups.
type Consistent struct {
	// Enabled makes backups for which IRIS is frozen, beside the others, where there is a target and an image of the agent is known
	// (failover.image); without one the preview says so. Default: true.
	Enabled bool `json:"enabled"`
	// Cron is when they are made, in UTC: minute, hour, day of the month, month, day of the week. Default: 2:30 each night.
	Cron string `json:"cron"`
	// Retain is how many of them are kept, 1 to 365. Default: 14.
	Retain int `json:"retain"`
}

// Consistent returns when backups are made while IRIS is frozen and how many are kept; false when there are none. The configuration is valid.
func (c Config) Consistent() (Consistent, bool) {
	return c.Backup.Consistent, c.Install && c.Backup.enabled() && c.Backup.Consistent.Enabled
}

// Verify returns when backups are verified; false when they are not. The configuration is valid.
func (c Config) Verify() (Verify, bool) {
	return c.Backup.Verify, c.Install && c.Backup.enabled() && c.Backup.Verify.Enabled
}

// Interval is the longest time between two verifications that are due; 0 for a schedule that Validate refuses.
func (v Verify) Interval() time.Duration {
	schedule, err := rules.ParseCron(v.Cron)
	if err != nil {
		return 0
	}
	return schedule.LongestGap()
}

// enabled reports whether there are backups.
func (b Backup) enabled() bool { return b.Target != "" || b.Managed }

// Interval is the longest time between two backups that are due; 0 without backups, and for a schedule that Validate refuses.
func (b Backup) Interval() time.Duration {
	schedule, err := rules.ParseCron(b.Cron)
	if !b.enabled() || err != nil {
		return 0
	}
	return schedule.LongestGap()
}

// recoveryPoint is Interval as text, such as 15m; empty without backups.
func (b Backup) recoveryPoint() string {
	interval := b.Interval()
	if interval == 0 {
		return ""
	}
	text := strings.TrimSuffix(interval.String(), "0s") // A schedule has no seconds.
	if hours, whole := strings.CutSuffix(text, "h0m"); whole {
		return hours + "h"
	}
	return text
}

// refuseBackup returns the validateBackup of a driver that makes no backups.
func refuseBackup(driver string) func(Config, *problems.List) {
	return func(c Config, found *problems.List) {
		want := "nothing: this program makes no backups with " + driver
		if c.Backup.enabled() {
			found.AddSecret("storage.backup", "a value", want)
		}
		if c.BackupCredentials.IsSet() {
			found.AddSecret("backupCredentials", "a value", want+"; run: pulumi config rm backupCredentials")
		}
	}
}
