package watchman

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ballot is what all campaigns of a test share.
type ballot struct {
	t      *testing.T
	client *fake.Clientset
	mutex  sync.Mutex
	// leading are the guards that lead at the moment, terms all that ever led, in their order.
	leading, terms []string
}

// candidate is one guard, whose way to the API server can be cut.
type candidate struct {
	resourcelock.Interface
	ballot   *ballot
	campaign *Campaign
	metrics  *Metrics
	stop     context.CancelFunc
	ended    chan error
	mutex    sync.Mutex
	cut      bool
}

func (b *ballot) stand(name string) *candidate { return b.standYoung(name, 0) }

// standYoung is of a guard that is young for a while.
func (b *ballot) standYoung(name string, young time.Duration) *candidate {
	c := &candidate{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "iris", Name: "guard"}, Client: b.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		},
		ballot: b, metrics: NewMetrics(), ended: make(chan error, 1),
	}
	began := time.Now()
	lock := NewDeferring(c, func() time.Duration { return time.Since(began) }, young)
	c.campaign = NewCampaign(lock, DefaultTerms(), func(ctx context.Context) { b.lead(ctx, name) }, slog.New(slog.NewTextHandler(io.Discard, nil)),
		c.metrics)
	ctx, stop := context.WithCancel(b.t.Context())
	c.stop = stop
	go func() { c.ended <- c.campaign.Run(ctx) }()
	return c
}

// lead takes a second to notice its end, as a request that is under way may.
func (b *ballot) lead(ctx context.Context, name string) {
	b.mutex.Lock()
	b.leading, b.terms = append(b.leading, name), append(b.terms, name)
	if len(b.leading) > 1 {
		b.t.Errorf("several lead: %q", b.leading)
	}
	b.mutex.Unlock()
	<-ctx.Done()
	time.Sleep(time.Second)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.leading = slices.DeleteFunc(b.leading, func(one string) bool { return one == name })
}

func (b *ballot) wantLeader(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if !slices.Equal(b.leading, want) {
		b.t.Errorf("leading: got %q, want %q", b.leading, want)
	}
}

func (c *candidate) away() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.cut {
		return errors.New("the API server is away")
	}
	return nil
}

func (c *candidate) sever(cut bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cut = cut
}

func (c *candidate) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if err := c.away(); err != nil {
		return nil, nil, err
	}
	return c.Interface.Get(ctx)
}

func (c *candidate) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return errors.Join(c.away(), c.Interface.Create(ctx, record))
}

func (c *candidate) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if err := c.away(); err != nil {
		return err
	}
	return c.Interface.Update(ctx, record)
}

func elect(t *testing.T, test func(*testing.T, *ballot)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &ballot{t: t, client: fake.NewClientset()}) })
}

func (c *candidate) finish() {
	c.ballot.t.Helper()
	c.stop()
	if err := <-c.ended; err != nil {
		c.ballot.t.Errorf("got %v", err)
	}
}

// A guard that is stopped gives the Lease back once it no longer leads, and the other one leads within a retry.
func TestCampaign_HandsOver(t *testing.T) {
	t.Parallel()
	elect(t, func(t *testing.T, b *ballot) {
		first := b.stand("a")
		b.wantLeader("a")
		second := b.stand("b")
		time.Sleep(time.Minute)
		b.wantLeader("a")
		if !first.campaign.Known() || !second.campaign.Known() {
			t.Error("they do not know who leads")
		}
		first.finish()
		time.Sleep(5 * time.Second)
		b.wantLeader("b")
		second.finish()
		b.wantLeader()
	})
}

// A leader that cannot reach the API server stops to lead before the other one begins, does not end, and stands again.
func TestCampaign_ALeaderThatLosesItsLeaseGoesOn(t *testing.T) {
	t.Parallel()
	elect(t, func(t *testing.T, b *ballot) {
		first := b.stand("a")
		b.wantLeader("a")
		second := b.stand("b")
		time.Sleep(10 * time.Second)
		first.sever(true)
		time.Sleep(12 * time.Second)
		b.wantLeader()
		// The other one has seen the last renewal up to 2.2 s late, waits 15 s from there, and asks again up to 2.2 s after that.
		time.Sleep(8 * time.Second)
		b.wantLeader("b")
		first.sever(false)
		time.Sleep(time.Minute)
		b.wantLeader("b")
		second.finish()
		time.Sleep(5 * time.Second)
		b.wantLeader("a")
		if want := []string{"a", "b", "a"}; !slices.Equal(b.terms, want) {
			t.Errorf("terms: got %q, want %q", b.terms, want)
		}
		first.finish()
	})
}

// Without an API server a guard stands for ever and never knows.
func TestCampaign_WaitsForTheAPIServer(t *testing.T) {
	t.Parallel()
	elect(t, func(t *testing.T, b *ballot) {
		only := b.stand("a")
		only.sever(true)
		time.Sleep(time.Hour)
		if b.wantLeader(); only.campaign.Known() {
			t.Error("it knows who leads")
		}
		only.sever(false)
		time.Sleep(5 * time.Second)
		b.wantLeader("a")
		only.finish()
	})
}

func TestCampaign_RefusesTermsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := &resourcelock.LeaseLock{
		Client: fake.NewClientset().CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: "a"},
	}
	campaign := NewCampaign(c, Terms{}, func(context.Context) {}, slog.New(slog.NewTextHandler(io.Discard, nil)), NewMetrics())
	if err := campaign.Run(t.Context()); err == nil {
		t.Error("accepted")
	}
}

// When a leader ends in order a guard that may go on with its take-over follows it, not the pod that replaces it, which starts in the same second.
func TestCampaign_AYoungGuardLeavesTheLeaseToTheOthers(t *testing.T) {
	t.Parallel()
	for range 5 { // Who looks first is chance.
		elect(t, func(_ *testing.T, b *ballot) {
			const young = 75 * time.Second
			first := b.standYoung("first", young)
			time.Sleep(deference + 6*time.Second)
			b.wantLeader("first") // There is nobody else.
			second := b.standYoung("second", young)
			time.Sleep(young)
			third := b.standYoung("third", young)
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			first.finish()
			time.Sleep(deference)
			b.wantLeader("second")
			second.finish()
			time.Sleep(deference + 6*time.Second)
			b.wantLeader("third")
			third.finish()
		})
	}
}
