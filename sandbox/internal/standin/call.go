package standin

import (
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
)

// call is the CSI call that the attacher has open for an attachment, or the pause after one that failed. Like the
// original's it is kept in memory: a restart of this program begins it anew.
type call struct {
	// attachment is the object's uid: one that was made anew under the same name is called for at once.
	attachment types.UID
	detaches   bool
	began      time.Time
	// sent: the driver has sent its first request; silent: to a manager that is dead, so that nobody answers.
	sent, silent bool
	// asked: Longhorn has agreed, and the driver waits for the volume.
	asked bool
	// polls is how often the driver has looked at the volume since.
	polls int
	// starting is when the volume's instances began to start; zero while they cannot.
	starting time.Time
	// retry is when the attacher calls again after a failure; zero while the call is open.
	retry time.Time
}

// newAttacherPauses are the external-attacher's (its options retry-interval-start and retry-interval-max, which Longhorn
// leaves alone).
func newAttacherPauses() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 5*time.Minute)
}

// callFor returns the call that is open for the attachment, and begins one if there is none. It returns nil and the rest
// of the pause after one that failed.
func (c *standIn) callFor(attachment *storagev1.VolumeAttachment) (open *call, pause time.Duration) {
	detaches := attachment.DeletionTimestamp != nil
	open = c.calls[attachment.Name]
	if open != nil && open.attachment == attachment.UID && open.detaches == detaches {
		if open.retry.IsZero() {
			return open, 0
		}
		if pause = open.retry.Sub(c.clock.Now()); pause > 0 {
			return nil, pause
		}
	}
	open = &call{attachment: attachment.UID, detaches: detaches, began: c.clock.Now()}
	c.calls[attachment.Name] = open
	return open, 0
}

// pauseAfter ends a call that failed and returns the attacher's pause. It doubles with each failure for an attachment of
// that name until a call succeeds, and the report of the failure does not shorten it (external-attacher controller.go,
// shouldEnqueueVAChange).
func (c *standIn) pauseAfter(open *call, name string) time.Duration {
	pause := c.attacherPauses.When(name)
	open.retry = c.clock.Now().Add(pause)
	return pause
}

func (c *standIn) succeeded(name string) {
	delete(c.calls, name)
	c.attacherPauses.Forget(name)
}

// poll says whether the driver looks at the volume now, and when it does so next.
func (c *standIn) poll(open *call) (due bool, next time.Duration) {
	elapsed := c.clock.Now().Sub(open.began)
	number := int(elapsed / attachTick)
	due = number > open.polls
	open.polls = number
	return due, attachTick - elapsed%attachTick
}

// startingFor is how long the volume's instances still take to start; long if they have not begun.
func (c *standIn) startingFor(open *call) time.Duration {
	if open.starting.IsZero() {
		return attachPatience
	}
	left := instanceTime - c.clock.Now().Sub(open.starting)
	if left <= 0 {
		return attachPatience
	}
	return left
}
