package watchman

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"ha-iris/agent/internal/alive"
	"ha-iris/agent/internal/guard"
)

// vouching is a voucher of a guard on n2, with a clock that is moved by hand.
type vouching struct {
	t   *testing.T
	v   *Voucher
	now time.Duration
}

func newVouching(t *testing.T) *vouching {
	t.Helper()
	o := &vouching{t: t, now: time.Hour}
	o.v = NewVoucher(func() time.Duration { return o.now }, DefaultTerms(), Identity("guard-b", "n2"))
	return o
}

// renewed is a look at the Lease, which its holder has renewed.
func (o *vouching) renewed(holder string) {
	o.v.heard(&resourcelock.LeaderElectionRecord{HolderIdentity: holder, RenewTime: metav1.NewTime(start.Add(o.now))})
}

// answered is a look at a Lease that nobody has renewed since.
func (o *vouching) answered(renewed time.Duration, holder string) {
	o.v.heard(&resourcelock.LeaderElectionRecord{HolderIdentity: holder, RenewTime: metav1.NewTime(start.Add(renewed))})
}

func (o *vouching) nodes(ready guard.Ready) guard.World {
	world := guard.World{Nodes: []guard.Node{{Name: "n1", Ready: ready}, {Name: "n2", Ready: guard.ReadyTrue}}}
	o.v.look(&world)
	return world
}

func (o *vouching) want(want alive.Says, what string) {
	o.t.Helper()
	if got := o.v.Say("n1", false); got != want {
		o.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestVoucher_LeaderVouchesForWhatIsNotLost(t *testing.T) {
	t.Parallel()
	o := newVouching(t)
	o.v.lead()
	o.renewed(Identity("guard-b", "n2"))
	o.want(alive.Follower, "before it has looked")
	o.nodes(guard.ReadyTrue)
	o.want(alive.Reachable, "Ready")
	o.nodes(guard.ReadyFalse)
	o.want(alive.Reachable, "the kubelet lives, and says that it is not Ready")
	o.nodes(guard.ReadyUnknown)
	o.want(alive.Lost, "Unknown")
	if got := o.v.Say("n7", false); got != alive.Lost {
		t.Errorf("a node that is gone: got %q", got)
	}
	if got := o.v.Say("", false); got != alive.Follower {
		t.Errorf("no node: got %q", got)
	}
}

// While the API server is away the leader goes on as long as nobody else can lead, and then says that it is cut off.
func TestVoucher_LeaderWhoseAPIServerIsAway(t *testing.T) {
	t.Parallel()
	o := newVouching(t)
	o.v.lead()
	o.renewed(Identity("guard-b", "n2"))
	o.nodes(guard.ReadyTrue)
	o.now += DefaultTerms().Renew - 1
	o.want(alive.Reachable, "its Lease is its own")
	o.now++
	o.want(alive.Cut, "its Lease may be another one's, whatever the election says")
	o.renewed(Identity("guard-c", "n3"))
	o.want(alive.Follower, "another one renews, whatever the election says")
	o.now += DefaultTerms().Renew
	o.v.resign()
	o.want(alive.Cut, "no longer leading")
	o.answered(time.Hour, Identity("guard-b", "n2"))
	o.want(alive.Follower, "the API server is back, and nobody leads")
}

func TestVoucher_FollowerVouchesWhileTheLeaderIsOnThatNode(t *testing.T) {
	t.Parallel()
	o := newVouching(t)
	o.want(alive.Cut, "nothing was heard yet")
	o.renewed(Identity("guard-c", "n3"))
	o.want(alive.Follower, "the leader is elsewhere")
	o.renewed(Identity("guard-a", "n1"))
	o.want(alive.Reachable, "the leader is there")
	last := o.now
	for range 5 {
		o.now += time.Second
		o.answered(last, Identity("guard-a", "n1"))
	}
	o.want(alive.Follower, "the leader no longer renews")
	o.now = last + cutAfter
	o.renewed(Identity("guard-a", "n1"))
	o.now += cutAfter
	o.want(alive.Reachable, "the API server is away since the last renewal")
	o.now = last + cutAfter + heardFor
	o.want(alive.Cut, "for longer")
}

// What a follower says by an old leader's renewal is over before another guard can have led for long enough to act.
func TestVoucher_KnowsForHowLongNobodyVouched(t *testing.T) {
	t.Parallel()
	o := newVouching(t)
	o.v.lead()
	o.renewed(Identity("guard-b", "n2"))
	if got := o.nodes(guard.ReadyTrue).Unvouched["n1"]; got != 0 {
		t.Errorf("at the beginning of a term: got %v", got)
	}
	o.now += heardFor + time.Second
	if got := o.nodes(guard.ReadyTrue).Unvouched["n1"]; got != time.Second {
		t.Errorf("later: got %v, want 1s", got)
	}
	o.renewed(Identity("guard-b", "n2"))
	o.want(alive.Reachable, "asked")
	o.now += 3 * time.Second
	if got := o.v.Say("n1", true); got != alive.Reachable {
		t.Errorf("asked by a check that reaches the API server: got %q", got)
	}
	o.now += 6 * time.Second
	if got := o.nodes(guard.ReadyUnknown).Unvouched; got["n1"] != 9*time.Second || got["n2"] != 10*time.Second {
		t.Errorf("9 s after it vouched: got %v", got)
	}
	o.want(alive.Lost, "asked again")
	o.now += time.Second
	gone := guard.World{Gone: map[string]guard.Gone{"n1": {}}}
	if o.v.look(&gone); gone.Unvouched["n1"] != 10*time.Second {
		t.Errorf("its object is gone: got %v", gone.Unvouched)
	}
	if got := o.nodes(guard.ReadyUnknown).Unvouched["n1"]; got != 10*time.Second {
		t.Errorf("a second later: got %v, want 10s: it vouched no more", got)
	}
	o.v.resign()
	o.v.lead()
	if got := o.nodes(guard.ReadyUnknown).Unvouched["n1"]; got != 0 {
		t.Errorf("in the next term: got %v", got)
	}
}

func TestTerms_AFollowersWordIsOverBeforeAnotherLeads(t *testing.T) {
	t.Parallel()
	terms := DefaultTerms()
	if cutAfter >= heardFor || heardFor >= terms.Lease-terms.Renew+1 || terms.Renew >= terms.Lease {
		t.Errorf("a follower vouches for %v, is cut after %v, a leader renews for %v of %v", heardFor, cutAfter, terms.Renew, terms.Lease)
	}
}
