package fencer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/fence"
	"ha-iris/agent/internal/processes"
)

// node is everything around the check, with synctest's clock.
type node struct {
	mutex  sync.Mutex
	began  time.Time
	api    fence.Word // Unknown means silence.
	peer   bool
	peers  []string
	hang   time.Duration // How long a round hangs longer than it may.
	state  fence.State   // What the processes are in.
	calls  int
	began0 int // How often Begin was called.
	left   int
	err    error
	memory processes.Memory
	log    bytes.Buffer
}

// fresh is a healthy node with a pod that has just begun.
func fresh(t *testing.T) *node {
	t.Helper()
	return &node{
		began: time.Now().Add(-time.Hour), api: fence.WordWanted, peer: true, peers: []string{"10.0.0.2:8090"}, state: fence.Running,
	}
}

func (n *node) now() time.Duration { return time.Since(n.began) }

// set changes what can be reached.
func (n *node) set(api fence.Word, peer bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.api, n.peer = api, peer
}

// Probe answers after 10 ms, or at the time-out.
func (n *node) Probe(ctx context.Context) fence.Round {
	n.mutex.Lock()
	round := fence.Round{Start: n.now(), Pod: n.api, APIServer: n.api != fence.WordUnknown}
	round.Peers = slices.Repeat([]bool{n.peer}, len(n.peers))
	takes := 10*time.Millisecond + n.hang
	if !round.APIServer || !n.peer {
		takes += fence.Default().Timeout
	}
	n.mutex.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	round.End = n.now()
	return round
}

func (n *node) Peers() []string { return n.peers }

func (n *node) act(state fence.State) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.calls++
	n.state = state
	return n.err
}

func (n *node) Pause(context.Context) error    { return n.act(fence.Paused) }
func (n *node) Continue(context.Context) error { return n.act(fence.Running) }
func (n *node) End(context.Context) error {
	n.memory.Ended = n.now()
	return n.act(fence.Ended)
}

func (n *node) Begin() { n.began0++; n.memory = processes.Memory{} }

func (n *node) Left() (int, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.left, n.err
}

func (n *node) Memory() processes.Memory { return n.memory }
func (n *node) Denied() int64            { return 0 }

func (n *node) is() fence.State {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.state
}

// run is a check that runs.
type run struct {
	*node
	t    *testing.T
	loop *Loop
	stop func() // As the kubelet: SIGTERM, and waits.
	done chan struct{}
}

func (n *node) config() Config {
	p := fence.Default()
	p.WithoutPeers = fence.WithoutPeersFence
	return Config{
		Parameters: p, Witness: n, Database: n, Now: n.now, BootID: "boot-1",
		Log: slog.New(slog.NewTextHandler(&n.log, nil)),
	}
}

// watched runs a test in time of its own, with the check of a healthy node.
func watched(t *testing.T, test func(t *testing.T, r *run)) {
	t.Helper()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := fresh(t).start(t, directory)
		defer r.kill()
		test(t, r)
	})
}

// start runs the check in the directory.
func (n *node) start(t *testing.T, directory string) *run {
	t.Helper()
	config := n.config()
	loop, err := New(config, directory, Recall(directory, config.BootID))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{node: n, t: t, loop: loop, stop: cancel, done: make(chan struct{})}
	go func() {
		loop.Run(ctx)
		close(r.done)
	}()
	return r
}

// kill ends the check without a word: nothing is left to be watched, as far as it can see.
func (r *run) kill() {
	r.mutex.Lock()
	left, err := r.left, r.err
	r.left, r.err = 0, nil
	r.mutex.Unlock()
	r.stop()
	<-r.done
	r.mutex.Lock()
	r.left, r.err = left, err
	r.mutex.Unlock()
}

// ask asks whether the database may start.
func (r *run) ask() *request {
	one := &request{ctx: r.t.Context(), reply: make(chan reply, 1)}
	r.loop.requests <- one
	return one
}

// admitted lets the database start.
func (r *run) admitted() {
	r.t.Helper()
	if got := <-r.ask().reply; !got.Go {
		r.t.Fatalf("got %+v", got)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.left = 3
}

// check waits and says what the database has to be in then.
func (r *run) check(wait time.Duration, want fence.State) {
	r.t.Helper()
	time.Sleep(wait)
	synctest.Wait()
	if got := r.is(); got != want {
		r.t.Errorf("at %v: got %s, want %s", r.now(), got, want)
	}
}

var errBroken = errors.New("broken")
