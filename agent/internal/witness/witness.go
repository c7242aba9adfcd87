// Package witness asks who can be reached from the database's pod: the API server, and the guards on other nodes.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"ha-iris/agent/internal/alive"
	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/fence"
)

const (
	// listEvery is the shortest time between two reads of the guards' addresses: a guard that moves takes longer to start.
	listEvery = 5 * time.Second
	// listTimeout bounds such a read. It runs beside the probes and delays none.
	listTimeout = 5 * time.Second
	// endingFor is how long a guard that is being deleted is still asked. One on a node that is down is deleted for as long as the node is,
	// and its silence would spoil the word of the others. The API server refuses its token 60 s after it should have been gone, its grace
	// period is below 30 s: then it cannot lead any more.
	endingFor = 2 * time.Minute
)

// Config is whom to ask.
type Config struct {
	// APIServer is its URL.
	APIServer string
	// TokenFile and CAFile are read again for every round: the kubelet renews them.
	TokenFile, CAFile string
	// Namespace, Pod and UID are this pod's, Node is where it runs.
	Namespace, Pod, UID, Node string
	// GuardService is the headless Service of the guards, in the same namespace.
	GuardService string
	// Timeout bounds a round.
	Timeout time.Duration
	Now     boottime.Clock
	Log     *slog.Logger
}

// Witness asks. It is a fence.Prober.
type Witness struct {
	config Config
	api    *apiServer
	guards *guards

	mutex   sync.Mutex
	peers   []string
	ending  map[string]time.Duration // Since when guards are being deleted.
	listed  time.Duration            // When the list was last asked for.
	listing bool
	silent  bool // The API server did not answer when it was last asked.
	// answered says that it answered the last round in time.
	answered bool
	denied   bool // The list could not be read.
}

var _ fence.Prober = (*Witness)(nil)

// New returns a witness that asks the given peers (HOST:PORT) until it has read the list of the guards.
func New(config Config, peers []string) (*Witness, error) {
	address, err := url.Parse(config.APIServer)
	if err != nil || (address.Scheme != "https" && address.Scheme != "http") || address.Host == "" {
		return nil, errors.Join(fmt.Errorf("the API server: got %q, want https://HOST:PORT", config.APIServer), err)
	}
	return &Witness{
		config: config,
		api:    &apiServer{address: address, tokenFile: config.TokenFile, caFile: config.CAFile, timeout: config.Timeout},
		guards: newGuards(config.Node, config.Timeout),
		peers:  slices.Clone(peers),
		listed: -listEvery,
	}, nil
}

// Peers are the addresses of the guards on other nodes, as last read.
func (w *Witness) Peers() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.peers)
}

// before is what the round before has left: whom to ask, and whether the API server answered it.
func (w *Witness) before() ([]string, bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.peers), w.answered
}

func (w *Witness) after(round fence.Round) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.answered = round.APIServer
}

// Probe asks every target once, side by side. It never waits for one that hangs: what has not answered by then is silent.
func (w *Witness) Probe(ctx context.Context) fence.Round {
	round := fence.Round{Start: w.config.Now()}
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	peers, reached := w.before()
	said := make([]alive.Says, len(peers))
	type answer struct {
		peer int
		says alive.Says
	}
	api, answers := make(chan fence.Word, 1), make(chan answer, len(peers)) // With room: nobody may be left to read.
	go func() {
		word, err := w.api.pod(ctx, w.config.Namespace, w.config.Pod, w.config.UID)
		w.say(err)
		api <- word
	}()
	for i, peer := range peers {
		go func() {
			says, err := w.guards.ask(ctx, peer, reached)
			if err != nil {
				says = "" // As silent as one that is not there.
			}
			answers <- answer{i, says}
		}()
	}
	for range len(peers) + 1 {
		select {
		case round.Pod = <-api:
			round.APIServer = round.Pod != fence.WordUnknown
		case one := <-answers:
			said[one.peer] = one.says
		case <-ctx.Done():
		}
	}
	round.Peers = vouching(said)
	round.End = w.config.Now()
	w.after(round)
	if round.APIServer {
		w.list(round.End)
	}
	return round
}

// list reads the guards' addresses when that is due, beside the probes.
func (w *Witness) list(now time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.listing || now-w.listed < listEvery || w.config.GuardService == "" {
		return
	}
	w.listing, w.listed = true, now
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
		defer cancel()
		peers, err := w.api.guards(ctx, w.config.Namespace, w.config.GuardService, w.config.Node)
		w.learn(peers, err)
	}()
}

// learn takes a list. One that could not be read changes nothing: the last known guards are asked on.
func (w *Witness) learn(found []peer, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.listing = false
	if err != nil {
		if !w.denied {
			w.config.Log.Warn("the list of guards cannot be read: the last known ones are asked", "guards", w.peers, "error", err)
		}
		w.denied = true
		return
	}
	peers := w.lasting(found)
	if !slices.Equal(peers, w.peers) {
		w.config.Log.Info("the guards on other nodes", "guards", peers)
	}
	w.denied, w.peers = false, peers
}

// lasting are the addresses of those that are not being deleted, or not for long.
func (w *Witness) lasting(found []peer) []string {
	now, ending, peers := w.config.Now(), map[string]time.Duration{}, []string{}
	for _, one := range found {
		if one.terminating {
			since, known := w.ending[one.address]
			if !known {
				since = now
			}
			ending[one.address] = since
			if now-since >= endingFor {
				continue
			}
		}
		peers = append(peers, one.address)
	}
	w.ending = ending
	return peers
}

// say logs when the API server falls silent and when it is back.
func (w *Witness) say(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	silent := err != nil
	switch {
	case silent && !w.silent:
		w.config.Log.Warn("the API server does not answer", "error", err)
	case !silent && w.silent:
		w.config.Log.Info("the API server answers again")
	}
	w.silent = silent
}
