package fencer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/fence"
)

// restarted runs a check up to a state, kills it, and runs another one after a while.
func restarted(t *testing.T, state fence.State, away time.Duration, back func(*node)) *run {
	t.Helper()
	directory := t.TempDir()
	n := fresh(t)
	r := n.start(t, directory)
	r.admitted()
	r.check(2*second, fence.Running)
	switch state {
	case fence.Paused:
		r.set(fence.WordUnknown, false)
		r.check(7*second, fence.Paused)
	case fence.Ended:
		r.set(fence.WordUnknown, false)
		r.check(29*second, fence.Ended)
	default:
	}
	r.kill()
	time.Sleep(away)
	back(n)
	return n.start(t, directory)
}

func TestRestart_GoesOn(t *testing.T) {
	t.Parallel()
	cut := func(n *node) { n.set(fence.WordUnknown, false) }
	whole := func(n *node) { n.set(fence.WordWanted, true) }
	peers := func(n *node) { n.set(fence.WordUnknown, true) }
	for name, test := range map[string]struct {
		state  fence.State
		away   time.Duration
		back   func(*node)
		after  time.Duration
		want   fence.State
		pauses float64
	}{
		"running, for a moment":              {fence.Running, 2 * second, whole, second, fence.Running, 0},
		"running, and cut off":               {fence.Running, 2 * second, cut, 4 * second, fence.Paused, 1},
		"running, away for a stall":          {fence.Running, 9 * second, peers, 20 * time.Millisecond, fence.Paused, 1},
		"running, away for a stall, answer":  {fence.Running, 9 * second, peers, 3 * second, fence.Running, 1},
		"running, away for a take-over":      {fence.Running, 30 * second, peers, 20 * second, fence.Paused, 1},
		"running, away for long, still ours": {fence.Running, 30 * second, whole, 3 * second, fence.Running, 1},
		"paused":                             {fence.Paused, second, cut, 0, fence.Paused, 1},
		"paused, and back":                   {fence.Paused, second, peers, 3 * second, fence.Running, 1},
		"paused, for too long":               {fence.Paused, 15 * second, cut, 5 * second, fence.Ended, 1},
		"ended":                              {fence.Ended, second, whole, 30 * second, fence.Ended, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := restarted(t, test.state, test.away, test.back)
				defer r.kill()
				r.check(test.after, test.want)
				if got := r.loop.status.pauses; got != test.pauses {
					t.Errorf("%v pauses, want %v: %s", got, test.pauses, r.log.String())
				}
			})
		})
	}
}

// With the API server away a restarted check has nobody else to learn the guards from.
func TestRestart_KnowsTheGuards(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := fresh(t).start(t, directory)
		r.admitted()
		r.check(2*second, fence.Running)
		r.kill()
		if got := Recall(directory, "boot-1").Peers(); len(got) != 1 || got[0] != "10.0.0.2:8090" {
			t.Errorf("got %q", got)
		}
	})
}

// After another boot nobody knows what happened meanwhile: guards alone do not let the database start.
func TestRestart_AfterAnotherBootTheAPIServerHasTheWord(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(content []byte) []byte{
		"another boot": func(content []byte) []byte {
			var one record
			if json.Unmarshal(content, &one) != nil {
				return nil
			}
			one.BootID = "boot-0"
			content, _ = json.Marshal(one)
			return content
		},
		"cut short":     func(content []byte) []byte { return content[:len(content)/2] },
		"unknown state": func([]byte) []byte { return []byte(`{"bootID":"boot-1","admitted":true,"machine":{"state":"odd"}}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				directory, n := t.TempDir(), fresh(t)
				r := n.start(t, directory)
				r.admitted()
				r.check(2*second, fence.Running)
				r.kill()
				path := filepath.Join(directory, stateFile)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, spoil(content), 0o600); err != nil {
					t.Fatal(err)
				}
				n.left = 0
				n.set(fence.WordUnknown, true)
				r = n.start(t, directory)
				defer func() { r.kill() }()
				if got := <-r.ask().reply; got.Go {
					t.Errorf("guards alone let it start: %+v", got)
				}
				r.kill() // The doubt outlives another restart.
				r = n.start(t, directory)
				if got := <-r.ask().reply; got.Go {
					t.Errorf("guards alone let it start: %+v", got)
				}
				r.set(fence.WordWanted, true)
				time.Sleep(2 * second)
				r.admitted()
			})
		})
	}
}

// A database that runs although nobody let it start is not trusted.
func TestRestart_UnrecordedProcesses(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := fresh(t)
		n.left = 3
		n.set(fence.WordUnknown, true)
		r := n.start(t, directory)
		defer r.kill()
		r.check(10*second, fence.Paused)
		r.set(fence.WordWanted, true)
		r.check(3*second, fence.Running)
	})
}
