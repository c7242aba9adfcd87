package watchman

import (
	"context"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"ha-iris/agent/internal/alive"
	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/guard"
)

const (
	// identitySeparator cannot be in the name of a pod or a node.
	identitySeparator = "_"
	// cutAfter is how long the API server may be silent before a guard says so: three looks, and less than what the check bears (4 s).
	cutAfter = 3 * time.Second
	// heardFor is how long a renewal by a leader counts for the others: it covers cutAfter, and is over before another one can lead, which
	// takes 15 s since the same renewal.
	heardFor = 5 * time.Second
)

// Voucher answers the check in the database's pod, and knows for how long it has not told it that it may go on. Only the leader can take
// over, so the leader alone vouches for a node, or a follower for as long as the leader is on that very node. It is safe for concurrent use.
type Voucher struct {
	clock    boottime.Clock
	terms    Terms
	identity string

	mutex sync.Mutex
	// renewed is when the last renewal of the Lease was seen, by holder, and answered when the API server answered last.
	renewed, answered time.Duration
	renewal           time.Time
	holder            string
	// leads says that this guard leads, looked that it has looked at the nodes since it does, present which nodes are there and not lost.
	leads, looked bool
	present       map[string]bool
	// vouched is when this guard last said to a check without an API server that its node is reachable, floor until when others may have.
	vouched map[string]time.Duration
	floor   time.Duration
}

// NewVoucher returns a voucher, of the guard that calls itself so in the Lease, that has heard nothing.
func NewVoucher(clock boottime.Clock, terms Terms, identity string) *Voucher {
	long := clock() - time.Hour
	return &Voucher{
		clock: clock, terms: terms, identity: identity, renewed: long, answered: long,
		present: map[string]bool{}, vouched: map[string]time.Duration{},
	}
}

// Say answers the check on a node. One that reaches the API server does not go on by this word, and hears from there when its pod is given
// up: only what is said to one that does not is remembered.
func (v *Voucher) Say(node string, reachesAPIServer bool) alive.Says {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	now := v.clock()
	said := v.judge(node, now)
	if v.leads && said == alive.Reachable && !reachesAPIServer {
		v.vouched[node] = now
	}
	return said
}

func (v *Voucher) judge(node string, now time.Duration) alive.Says {
	switch {
	case node == "":
		return alive.Follower
	// A process that has slept may believe to lead; its own renewals tell.
	case v.leads && v.holder == v.identity && now-v.renewed < v.terms.Renew:
		if !v.looked {
			return alive.Follower
		}
		if !v.present[node] {
			return alive.Lost
		}
		return alive.Reachable
	case !v.leads && now-v.renewed < heardFor && nodeOf(v.holder) == node:
		return alive.Reachable
	case now-v.answered >= cutAfter:
		return alive.Cut
	default:
		return alive.Follower
	}
}

// lead begins a term. Until its floor a follower may have vouched for a node by a renewal of the leader before.
func (v *Voucher) lead() {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.leads, v.looked, v.floor = true, false, v.clock()+heardFor
	clear(v.vouched)
}

func (v *Voucher) resign() {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.leads = false
}

// look takes the nodes that were read, and puts into the world for how long nobody has vouched for each: from here on this guard does not
// vouch for one that is lost.
func (v *Voucher) look(world *guard.World) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	now := v.clock()
	v.looked = true
	clear(v.present)
	world.Unvouched = map[string]time.Duration{}
	for i := range world.Nodes {
		name := world.Nodes[i].Name
		if world.Nodes[i].Ready != guard.ReadyUnknown {
			v.present[name] = true
		}
		world.Unvouched[name] = v.unvouched(name, now)
	}
	for name := range world.Gone {
		world.Unvouched[name] = v.unvouched(name, now)
	}
}

func (v *Voucher) unvouched(node string, now time.Duration) time.Duration {
	since := v.floor
	if at, found := v.vouched[node]; found {
		since = max(since, at)
	}
	return max(0, now-since)
}

// heard takes a Lease that the API server has answered with.
func (v *Voucher) heard(record *resourcelock.LeaderElectionRecord) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.answered = v.clock()
	if v.holder != record.HolderIdentity || !v.renewal.Equal(record.RenewTime.Time) {
		v.holder, v.renewal, v.renewed = record.HolderIdentity, record.RenewTime.Time, v.answered
	}
}

// Watch reads the Lease each second until the context ends. The lock is the watch's own: a lock keeps what it has read.
func (v *Voucher) Watch(ctx context.Context, lock resourcelock.Interface) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if record, _, err := lock.Get(ctx); err == nil {
			v.heard(record)
		} else if apierrors.IsNotFound(err) {
			v.heard(&resourcelock.LeaderElectionRecord{})
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// Identity is how a guard calls itself in the Lease: from it the others know where the leader runs. Neither name may have the separator.
func Identity(pod, node string) string { return pod + identitySeparator + node }

func nodeOf(identity string) string {
	_, node, _ := strings.Cut(identity, identitySeparator)
	return node
}
