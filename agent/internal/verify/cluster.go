package verify

import (
	"context"
	"time"

	"ha-iris/agent/internal/backup"
)

// Cluster is the API server, as far as a run needs it. Errors that do not wrap ErrTaken say that it was not reached or refused.
type Cluster interface {
	// Database looks at the database's Deployment and its pods.
	Database(ctx context.Context) (backup.Database, error)
	// Volume finds the volume of the database's claim.
	Volume(ctx context.Context) (backup.Volume, error)
	// Backups are all of a volume, of either kind, the incomplete ones too.
	Backups(ctx context.Context, volume string) ([]Backup, error)

	// Objects are what there is under the copy's names, whoever has made it, in the order in which it is deleted.
	Objects(ctx context.Context) ([]Object, error)
	// Volumes are those of Longhorn that were made for the copy's claim and are there still.
	Volumes(ctx context.Context) ([]string, error)
	// Running says whether the pod of a run has not ended.
	Running(ctx context.Context, run string) (bool, error)
	// Delete deletes the one with this UID. One that is gone is no error.
	Delete(ctx context.Context, one Object) error

	// CreateClass makes the class whose volumes are filled from a backup, CreateClaim the copy's claim with it, CreatePod its pod. One that
	// this run has made already is no error; another one of the name is ErrTaken.
	CreateClass(ctx context.Context, backup Backup) error
	CreateClaim(ctx context.Context, backup Backup) error
	CreatePod(ctx context.Context) error
	// Restored says how far the copy's volume is, and Pod how the copy's pod is.
	Restored(ctx context.Context) (Restored, error)
	Pod(ctx context.Context) (Pod, error)

	// FoundBad is what an earlier attempt of the same Job has noted of a backup that is bad; empty when none has.
	FoundBad(ctx context.Context) (string, error)
	// Record notes what was found of a backup, for people and for the list of backups.
	Record(ctx context.Context, backup string, result Result) error
	// Report writes an event on the database's Deployment.
	Report(ctx context.Context, event backup.Event) error
}

// Backup is a backup of the volume.
type Backup struct {
	Name, URL string
	Complete  bool
	// Consistent says that IRIS was frozen for it.
	Consistent bool
	// Cut is the moment that it is of.
	Cut time.Time
	// Bytes is the volume's size: a restored volume has exactly that.
	Bytes int64
}

// Object is one of the copy's objects, or somebody else's of the same name.
type Object struct {
	// Kind and Name are for people; Namespace is empty for what is in none.
	Kind, Namespace, Name, UID string
	// Ours says that it has the marks of this stack's verification.
	Ours bool
	// Run is which run has made it.
	Run string
	// Deleting says that it goes away.
	Deleting bool
}

// Restored is how far the copy's volume is.
type Restored struct {
	// Bound says that the claim has a volume: its class is no longer needed. Filled says that the volume has all data.
	Bound, Filled bool
	// State is for people. Failed is why it will not be filled, and Lost why it says nothing about the backup that it will not.
	State, Failed, Lost string
}

// Pod is the copy's pod.
type Pod struct {
	// Image is its IRIS container's.
	Name, Image string
	// Started says that its IRIS container was started, Ready that users can log in.
	Started, Ready bool
	// Lost is why this pod says nothing about the backup: the node, the kubelet or the copy's volume is why it is as it is. Empty otherwise.
	Lost string
	// Ended is why IRIS has ended; empty while it has not. State is what it waits for.
	Ended, State string
}

// Verdict is what was found of a backup.
type Verdict string

// The verdicts. They are read by ops/backup.
const (
	// Good is that IRIS starts on it and its databases are whole.
	Good Verdict = "good"
	// Bad is that it cannot be restored, or that something in it is damaged or missing.
	Bad Verdict = "bad"
	// Unclear is that the run did not come to an end, which says nothing about the backup.
	Unclear Verdict = "unclear"
)

// Result is what is noted of a backup.
type Result struct {
	Verdict Verdict   `json:"verdict"`
	At      time.Time `json:"at"`
	// Message is for people, on one line.
	Message string `json:"message"`
	// Unmarked is why no marker row was looked for in it; empty when one was, or when it was not come to that.
	Unmarked string `json:"unmarked,omitempty"`
	// Job is the UID of the run's Job, of which it may be one of several attempts.
	Job string `json:"job,omitempty"`
}

// The reasons of events.
const (
	ReasonVerified      = "BackupVerified"
	ReasonFailed        = "BackupVerificationFailed"
	ReasonCleanupFailed = "BackupVerificationLeftovers"
)
