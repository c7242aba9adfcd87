package hold

import (
	"context"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/kube"
)

func cluster(t *testing.T) *kube.Client {
	t.Helper()
	client, err := kube.New(fakeapi.New(t).Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAcquire_AdmitsOneDrill(t *testing.T) {
	t.Parallel()
	on, now := cluster(t), time.Now()
	held, err := Acquire(t.Context(), on, "iris", "first", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(t.Context(), on, "iris", "second", now.Add(length/2)); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("a second one: %v", err)
	}
	if _, err := Acquire(t.Context(), on, "iris", "second", now.Add(2*length)); err != nil {
		t.Errorf("after the first one has died with nothing to undo: %v", err)
	}
	if err := held.Release(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if state, err := Read(t.Context(), on, "iris", now); state != nil || err != nil {
		t.Errorf("after the release: %+v, %v", state, err)
	}
}

func TestAcquire_KeepsWhatIsToBeUndone(t *testing.T) {
	t.Parallel()
	on, now := cluster(t), time.Now()
	held, err := Acquire(t.Context(), on, "iris", "first", now)
	if err != nil {
		t.Fatal(err)
	}
	record := Record{Experiment: "cut-node", Node: "node-a", Namespace: "iris"}
	if err := held.Note(t.Context(), &record); err != nil {
		t.Fatal(err)
	}
	later := now.Add(2 * length)
	if _, err := Acquire(t.Context(), on, "iris", "second", later); err == nil {
		t.Error("a drill begins although another one has left something")
	}
	state, err := Read(t.Context(), on, "iris", later)
	if err != nil || state.Live || state.Record == nil || *state.Record != record {
		t.Errorf("got %+v, %v", state, err)
	}
	if err := held.Note(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(t.Context(), on, "iris", "second", later); err != nil {
		t.Errorf("after it was undone: %v", err)
	}
}

func TestRelease_LeavesWhatIsNotClean(t *testing.T) {
	t.Parallel()
	on := cluster(t)
	held, err := Acquire(t.Context(), on, "iris", "first", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Release(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if state, err := Read(t.Context(), on, "iris", time.Now()); err != nil || state == nil || state.Live {
		t.Errorf("got %+v, %v; want a Lease of nobody at work", state, err)
	}
}

func TestKeep_EndsTheDrillWhoseLeaseIsTaken(t *testing.T) {
	t.Parallel()
	on := cluster(t)
	held, err := Acquire(t.Context(), on, "iris", "first", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), on, "iris"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	lost := make(chan error, 1)
	held.Keep(ctx, 10*time.Millisecond, func(err error) { lost <- err })
	select {
	case err := <-lost:
		if err == nil {
			t.Error("it ends without a reason")
		}
	default:
		t.Error("it goes on without its Lease")
	}
}
