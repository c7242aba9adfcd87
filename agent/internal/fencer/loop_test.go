package fencer

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/fence"
)

const second = time.Second

func TestLoop_PausesContinuesAndEnds(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.check(10*second, fence.Running)
		r.admitted()
		r.check(10*second, fence.Running)
		r.set(fence.WordUnknown, false)
		r.check(3*second, fence.Running)
		r.check(3*second, fence.Paused) // 1 + 1 + 4 s at worst.
		r.set(fence.WordUnknown, true)
		r.check(2200*time.Millisecond, fence.Running) // The round that runs, and the next.
		r.set(fence.WordUnknown, false)
		r.check(23*second, fence.Paused)
		r.check(4*second, fence.Ended) // 1 + 1 + 25 s at worst.
		r.set(fence.WordWanted, true)
		r.check(60*second, fence.Ended)
		r.admitted()
		r.check(2*second, fence.Running)
		if r.began0 != 2 {
			t.Errorf("begun %d times", r.began0)
		}
	})
}

// Before the database starts there is nothing to be stopped.
func TestLoop_TouchesNothingBeforeTheStart(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := fresh(t)
		n.set(fence.WordUnknown, false)
		r := n.start(t, directory)
		defer r.kill()
		time.Sleep(time.Minute)
		synctest.Wait()
		if r.calls != 0 {
			t.Errorf("called %d times", r.calls)
		}
	})
}

// Probes that do not return must not keep the database running.
func TestLoop_HangingProbes(t *testing.T) {
	t.Parallel()
	watched(t, func(_ *testing.T, r *run) {
		r.admitted()
		r.mutex.Lock()
		r.hang = time.Hour
		r.mutex.Unlock()
		r.check(7*second, fence.Paused)
		r.check(21*second, fence.Ended)
	})
}

// While it is paused the processes are stopped again and again, more often than there are rounds.
func TestLoop_SweepsWhilePaused(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.admitted()
		r.set(fence.WordUnknown, false)
		r.check(7*second, fence.Paused)
		before := r.calls
		r.check(4*second, fence.Paused)
		if calls := r.calls - before; calls < 16 {
			t.Errorf("stopped %d times in 4 s", calls)
		}
	})
}

func TestLoop_SIGTERM(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := fresh(t).start(t, directory)
		r.stop()
		<-r.done // Nothing was let start.
		r = fresh(t).start(t, t.TempDir())
		r.admitted()
		r.set(fence.WordUnknown, false)
		r.check(7*second, fence.Paused)
		r.stop()
		r.check(5*second, fence.Paused)
		r.set(fence.WordUnknown, true)
		r.check(3*second, fence.Running) // It stops in order now.
		select {
		case <-r.done:
			t.Error("looks away while the database runs")
		default:
		}
		r.mutex.Lock()
		r.left = 0
		r.mutex.Unlock()
		time.Sleep(2 * second)
		<-r.done
	})
}

func TestLoop_SaysAnErrorOnce(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.admitted()
		r.mutex.Lock()
		r.err = errBroken
		r.mutex.Unlock()
		r.check(10*second, fence.Running)
		if got := strings.Count(r.log.String(), "broken"); got != 1 {
			t.Errorf("said %d times: %s", got, r.log.String())
		}
	})
}

func TestLoop_Metrics(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		get := func(path string) (int, string) {
			recorder := httptest.NewRecorder()
			r.loop.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
			body, err := io.ReadAll(recorder.Result().Body)
			if err != nil {
				t.Fatal(err)
			}
			return recorder.Code, string(body)
		}
		if _, text := get("/metrics"); !strings.Contains(text, `ha_iris_fence_state{state="not admitted"} 1`) {
			t.Error(text)
		}
		r.admitted()
		r.set(fence.WordUnknown, false)
		r.check(10*second, fence.Paused)
		r.set(fence.WordWanted, true)
		r.check(3*second, fence.Running)
		r.set(fence.WordUnknown, false)
		r.check(30*second, fence.Ended)
		code, text := get("/metrics")
		for _, want := range []string{
			`ha_iris_fence_state{state="ended"} 1`, `ha_iris_fence_state{state="running"} 0`, "ha_iris_fence_pauses_total 2",
			"ha_iris_fence_ends_total 1", "ha_iris_fence_peers 1", "ha_iris_fence_paused_seconds_total 2", "ha_iris_fence_denied_total 0",
			"ha_iris_fence_last_answer_age_seconds 3",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing in %d %s", want, code, text)
			}
		}
		if code, text := get("/healthz"); code != 200 {
			t.Errorf("healthy: got %d %s", code, text)
		}
		r.kill()
		time.Sleep(9 * second)
		if code, _ := get("/healthz"); code != 503 {
			t.Errorf("nobody looks: got %d", code)
		}
	})
}

// A disk that hangs must not keep the database running.
func TestLoop_GoesOnWithoutItsRecord(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.admitted()
		release := make(chan struct{})
		defer close(release)
		r.loop.keeper.store = func(string, []byte, os.FileMode) error {
			<-release
			return nil
		}
		r.set(fence.WordUnknown, false)
		r.check(7*second, fence.Paused)
		r.check(21*second, fence.Ended)
		r.set(fence.WordWanted, true)
		if got := <-r.ask().reply; got.Go || !strings.Contains(got.Reason, errNoRecord.Error()) {
			t.Errorf("let start without a record: %+v", got)
		}
	})
}

func TestNew_RefusesADirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	n, directory := fresh(t), filepath.Join(t.TempDir(), "missing")
	if _, err := New(n.config(), directory, Recall(directory, "boot-1")); err == nil {
		t.Error("accepted")
	}
}
