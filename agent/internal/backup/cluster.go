package backup

import (
	"context"
	"errors"
	"time"
)

// Cluster is the API server, as far as a run needs it. An error that wraps ErrNotFound says that there is no such object; every other one
// that the API server was not reached or refused.
type Cluster interface {
	// Database looks at the database's Deployment and its pods.
	Database(ctx context.Context) (Database, error)
	// Volume finds the volume of the database's claim.
	Volume(ctx context.Context) (Volume, error)
	// Target looks at a backup target.
	Target(ctx context.Context, name string) (Target, error)

	// Snapshots are this stack's of a volume, made by runs like this one, and no others.
	Snapshots(ctx context.Context, volume string) ([]Snapshot, error)
	// Snapshot looks at one.
	Snapshot(ctx context.Context, name string) (Snapshot, error)
	// CreateSnapshot asks for one. One of that name is no error: names are drawn.
	CreateSnapshot(ctx context.Context, name, volume string) error
	// DeleteSnapshot deletes the one with this UID. One that is gone is no error.
	DeleteSnapshot(ctx context.Context, one Snapshot) error

	// Backups are this stack's of a volume, made by runs like this one, and no others.
	Backups(ctx context.Context, volume string) ([]Backup, error)
	// Backup looks at one.
	Backup(ctx context.Context, name string) (Backup, error)
	// CreateBackup asks for one of a snapshot. One of that name is no error.
	CreateBackup(ctx context.Context, name, snapshot, volume, target string) error
	// DeleteBackup deletes the one with this UID, in the target too. One that is gone is no error.
	DeleteBackup(ctx context.Context, one Backup) error

	// Report writes an event on the database's Deployment.
	Report(ctx context.Context, event Event) error
}

// ErrNotFound is that there is no such object.
var ErrNotFound = errors.New("there is no such object")

// Database is what runs the database.
type Database struct {
	// Namespace and Container are where it runs, for the commands that messages have.
	Namespace, Container string
	// Wanted is how many pods there should be; 0: it is scaled down.
	Wanted int64
	// Pods are those that use the claim and have not ended.
	Pods []Pod
}

// Pod is a pod of the database.
type Pod struct {
	Name, UID string
	// Container is the id of its database's container: another one has nothing of what was frozen.
	Container string
	// Image is that container's, and Started when the kubelet began with the pod; zero before.
	Image   string
	Started time.Time
	Ready   bool
}

// Volume is Longhorn's volume.
type Volume struct {
	Name string
	// State is attached, or what Longhorn calls it otherwise; Robustness is healthy, degraded, faulted or unknown.
	State, Robustness string
	// Target is the name of its backup target.
	Target string
}

// Target is a backup target.
type Target struct {
	Name, URL string
	Available bool
	// Reason is Longhorn's, when it is not available.
	Reason string
}

// Snapshot is a snapshot of the volume.
type Snapshot struct {
	Name, UID string
	// Asked is when the object was made.
	Asked time.Time
	// Cut says that the snapshot was taken.
	Cut bool
	// Error is Longhorn's.
	Error string
}

// The states of a backup that has ended, in Longhorn's words. One that has not is in another one, or in none.
const (
	StateCompleted = "Completed"
	StateError     = "Error"
	StateUnknown   = "Unknown"
	StateDeleting  = "Deleting"
)

// Backup is a backup of a snapshot.
type Backup struct {
	Name, UID, Snapshot string
	// State is Longhorn's; Progress is in percent.
	State    string
	Progress int64
	// Message is what Longhorn says of an error, or of what it waits for.
	Message string
	// Created is when it was complete, or else when the object was made.
	Created time.Time
	// ByHand says that somebody has asked for it beside the schedule: it is kept until somebody deletes it.
	ByHand bool
}

// unfinished says that it is still being made.
func (b Backup) unfinished() bool {
	switch b.State {
	case StateCompleted, StateError, StateUnknown, StateDeleting:
		return false
	default:
		return true
	}
}

// Event is what people see in kubectl describe.
type Event struct {
	// Warning says that it is not as it should be.
	Warning bool
	Reason  string
	Message string
}

// The reasons of events.
const (
	ReasonCompleted   = "BackupCompleted"
	ReasonFailed      = "BackupFailed"
	ReasonSkipped     = "BackupSkipped"
	ReasonPruneFailed = "BackupPruneFailed"
	ReasonFrozen      = "DatabaseFrozen"
)
