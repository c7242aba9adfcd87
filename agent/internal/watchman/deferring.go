package watchman

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"ha-iris/agent/internal/boottime"
)

// deference is how long a young guard leaves a Lease that nobody holds to the others: each of them looks every second, or 2.2 s with client-go's
// jitter.
const deference = 5 * time.Second

var errYoung = errors.New("this guard is young, and leaves the Lease to the others for a moment")

// Deferring is the lock of a guard that is too young to take over, because the check in the database's pod need not know it (guard.Config, KnownFor).
// When a leader ends in order it gives the Lease back in the second in which its successor's pod starts. If that took it, a take-over that has
// begun would stand still: the guards that may go on with it would follow one that may not. It takes what nobody else takes.
type Deferring struct {
	resourcelock.Interface
	clock boottime.Clock
	// grown is when this guard is old enough.
	grown time.Duration

	mutex sync.Mutex
	// holder is who held the Lease when it was read last, and unheld since when nobody has; known says that it was read.
	holder string
	unheld time.Duration
	known  bool
}

// NewDeferring returns a lock for a guard that starts now and is young for a while.
func NewDeferring(lock resourcelock.Interface, clock boottime.Clock, young time.Duration) *Deferring {
	return &Deferring{Interface: lock, clock: clock, grown: clock() + young}
}

// Get implements resourcelock.Interface.
func (d *Deferring) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := d.Interface.Get(ctx)
	switch {
	case err == nil:
		d.saw(record.HolderIdentity)
	case apierrors.IsNotFound(err):
		d.saw("")
	}
	return record, raw, err
}

func (d *Deferring) saw(holder string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if holder == "" && (d.holder != "" || !d.known) {
		d.unheld = d.clock()
	}
	d.holder, d.known = holder, true
}

// Create implements resourcelock.Interface.
func (d *Deferring) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if d.defers(record) {
		return errYoung
	}
	return d.Interface.Create(ctx, record)
}

// Update implements resourcelock.Interface.
func (d *Deferring) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if d.defers(record) {
		return errYoung
	}
	return d.Interface.Update(ctx, record)
}

// defers says whether the Lease would be taken too soon. One that its holder has not renewed is for whoever has waited longest, and a young guard
// has not.
func (d *Deferring) defers(record resourcelock.LeaderElectionRecord) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	now := d.clock()
	return record.HolderIdentity == d.Identity() && d.holder == "" && now < d.grown && now-d.unheld < deference
}
