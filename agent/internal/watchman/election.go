package watchman

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Terms are the times of the election.
type Terms struct {
	// Lease is how long the others wait for a leader that is silent, Renew how long a leader tries to renew before it gives up,
	// Retry how often all try.
	Lease, Renew, Retry time.Duration
}

// DefaultTerms are those of Kubernetes' own controllers, but for the retry, which they do each 2 s, or 4.4 s with the jitter of client-go: a
// leader that is lost with the database's node is replaced within 20 s, while the control plane takes 40 s and more to notice the loss. The
// new leader then still has to wait until nobody can have vouched for the node (Voucher).
func DefaultTerms() Terms {
	return Terms{Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: time.Second}
}

// Campaign stands for election for as long as it runs.
//
// A leader that loses its Lease stops to lead and stands again; the process goes on, unlike the usual controller. It has nothing in its
// caches that a restart would have to clear, because each term gets a reader and a loop of its own, and the check in the database's pod
// asks this very process: while the API server is away a restart would take that answer away at the moment when it is the only one.
type Campaign struct {
	lock    resourcelock.Interface
	terms   Terms
	lead    func(context.Context)
	log     *slog.Logger
	metrics *Metrics
	// term has room for one: the next term waits for the end of the one before.
	term  chan struct{}
	known atomic.Bool
}

// NewCampaign returns a campaign that calls lead for each term, with a context that ends with it.
func NewCampaign(
	lock resourcelock.Interface, terms Terms, lead func(context.Context), log *slog.Logger, metrics *Metrics,
) *Campaign {
	return &Campaign{lock: lock, terms: terms, lead: lead, log: log, metrics: metrics, term: make(chan struct{}, 1)}
}

// Known says whether this guard has ever heard who leads: the API server has answered, and rights and names are right.
func (c *Campaign) Known() bool { return c.known.Load() }

// Run stands for election until the context ends. The Lease is given back only when the last term has ended: until then the other guard
// must not begin.
func (c *Campaign) Run(ctx context.Context) error {
	standing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		c.term <- struct{}{} // for good: no term begins any more
		stop()
	})()
	for standing.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            c.lock,
			LeaseDuration:   c.terms.Lease,
			RenewDeadline:   c.terms.Renew,
			RetryPeriod:     c.terms.Retry,
			ReleaseOnCancel: true,
			Name:            c.lock.Describe(),
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(term context.Context) { c.serve(ctx, term) },
				OnStoppedLeading: func() {},
				OnNewLeader:      c.heard,
			},
		})
		if err != nil {
			return fmt.Errorf("the election by %s: %w", c.lock.Describe(), err)
		}
		elector.Run(standing)
		select {
		case <-standing.Done():
		case <-time.After(c.terms.Retry):
		}
	}
	return nil
}

// serve is one term. It ends with the Lease or with the guard.
func (c *Campaign) serve(ctx, term context.Context) {
	select {
	case c.term <- struct{}{}:
		defer func() { <-c.term }()
	case <-term.Done():
		return
	}
	leading, cancel := context.WithCancel(term)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if leading.Err() != nil {
		return
	}
	c.log.Info("leading", "identity", c.lock.Identity())
	c.metrics.leads(true)
	defer func() {
		c.metrics.leads(false)
		c.log.Info("no longer leading", "identity", c.lock.Identity())
	}()
	c.lead(leading)
}

func (c *Campaign) heard(identity string) {
	c.known.Store(true)
	c.log.Info("leader elected", "identity", identity)
}
