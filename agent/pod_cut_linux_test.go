package main

import (
	"syscall"
	"testing"
	"time"
)

func TestPod_CutPausedContinuedEndedAndStartedAgain(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.startFence()
	p.startDatabase()
	p.acknowledges("it starts")

	cut := p.clock()
	p.says("")
	time.Sleep(2 * time.Second)
	p.silentAfter("a short cut", cut, worstPause)
	p.says(isWanted)
	p.acknowledges("it goes on")

	cut = p.clock()
	p.says("")
	if code, took := p.ended("database"), p.clock()-cut; code != "-1" || took > worstEnd {
		t.Errorf("ended with %s after %v, want by a signal within %v", code, took, worstEnd)
	}
	p.silentAfter("a long cut", cut, worstPause)
	time.Sleep(100 * time.Millisecond) // The kubelet takes longer. What begins in the 10 ms of the end counts as before it.
	p.startDatabase()
	time.Sleep(2 * time.Second)
	p.silentAfter("restarted while cut off", cut, worstPause)
	p.says(isWanted)
	p.acknowledges("it starts again")

	p.order(order{Name: "fence", Signal: syscall.SIGTERM})
	p.acknowledges("the sidecar is stopped alone")
	cut = p.clock()
	p.says("")
	time.Sleep(2 * time.Second)
	p.silentAfter("it watches on", cut, worstPause)
	p.order(order{Name: "database", Signal: syscall.SIGKILL})
}

// The sidecar is killed while the database is paused: another one knows.
func TestPod_AKilledSidecarIsTakenUp(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.startFence()
	p.startDatabase()
	p.acknowledges("it starts")
	cut := p.clock()
	p.says("")
	time.Sleep(1700 * time.Millisecond)
	p.silentAfter("a cut", cut, worstPause)
	p.order(order{Name: "fence", Signal: syscall.SIGKILL})
	p.ended("fence")
	time.Sleep(200 * time.Millisecond)
	p.startFence()
	time.Sleep(time.Second)
	p.silentAfter("after the restart", cut, worstPause)
	p.says(isWanted)
	p.acknowledges("it goes on")
}

func TestPod_UnwantedNeverStarts(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.says(isUnwanted)
	p.startFence()
	p.startDatabase()
	if code := p.ended("database"); code != "1" {
		t.Errorf("ended with %s", code)
	}
	if last := p.last(); last > 0 {
		t.Error("it wrote")
	}
	p.order(order{Name: "fence", Signal: syscall.SIGTERM})
	if code := p.ended("fence"); code != "0" {
		t.Errorf("the check ended with %s", code)
	}
}
