package watchman

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/guard"
)

// labeller answers with what a test gives it.
type labeller struct {
	looked []time.Time
	done   []guard.Labelled
	err    error
	hangs  bool
}

// Label implements guard.Labeller.
func (l *labeller) Label(ctx context.Context) ([]guard.Labelled, error) {
	l.looked = append(l.looked, time.Now())
	if l.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.done, l.err
}

func TestLabelling_LooksAtOnceAndThenAtIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		found := &labeller{}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		begun := time.Now()
		NewLabelling(found, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx)
		var seconds []float64
		for _, one := range found.looked {
			seconds = append(seconds, one.Sub(begun).Seconds())
		}
		if want := []float64{0, 10, 20}; !slices.Equal(seconds, want) || time.Since(begun) != 25*time.Second || log.Len() != 0 {
			t.Errorf("looked after %v s and ended after %v, want %v and at once with the term:\n%s", seconds, time.Since(begun), want, log.String())
		}
	})
}

// A request that hangs ends with the term, and is no failure.
func TestLabelling_EndsWithTheTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		NewLabelling(&labeller{hangs: true}, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx)
		if time.Since(begun) != time.Second || log.Len() != 0 {
			t.Errorf("ended after %v:\n%s", time.Since(begun), log.String())
		}
	})
}

func TestLabelling_SaysWhatChanges(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	found := &labeller{}
	labelling := NewLabelling(found, slog.New(slog.NewTextHandler(&log, nil)))
	says := func(what string, want int) {
		t.Helper()
		if got := strings.Count(log.String(), what); got != want {
			t.Errorf("%q is said %d times, want %d:\n%s", what, got, want, log.String())
		}
	}
	rounds := func(err error, done ...guard.Labelled) {
		for range 2 {
			found.done, found.err = done, err
			labelling.round(t.Context())
			done = nil
		}
	}
	rounds(nil, guard.Labelled{Node: "n2", Has: true}, guard.Labelled{Node: "n1"})
	says("node=n2 has=true", 1)
	says("node=n1 has=false", 1)
	rounds(errors.New("read tcp 10.0.0.1:4711: reset"))
	rounds(errors.New("read tcp 10.0.0.1:4712: reset"))
	says("cannot be labelled", 1)
	rounds(errors.New("forbidden"))
	says("cannot be labelled", 2)
	rounds(nil)
	says("can be labelled again", 1)
	rounds(errors.New("forbidden"), guard.Labelled{Node: "n3"})
	says("cannot be labelled", 3)
	says("node=n3 has=false", 1)
}
