package clock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// watch has a budget of 10 s and a clock that only its pauses move. It returns what it found, for how long, and what it said.
func watch(t *testing.T, pause error, looks ...Found) (found Found, waited time.Duration, said []string, err error) {
	t.Helper()
	var now time.Time
	at := 0
	w := Watch{
		Budget: 10 * time.Second, Tick: time.Second, Report: 4 * time.Second,
		Say: func(state string, waited time.Duration) { said = append(said, fmt.Sprint(state, " ", waited)) },
		Now: func() time.Time { return now },
		Pause: func(_ context.Context, length time.Duration) error {
			now = now.Add(length)
			return pause
		},
	}
	found, waited, err = w.Until(t.Context(), func() Found {
		at++
		return looks[min(at, len(looks))-1]
	})
	return found, waited, said, err
}

func TestWatch_EndsAndReports(t *testing.T) {
	t.Parallel()
	a, b, done, hopeless := Found{State: "a"}, Found{State: "b"}, Found{Done: true}, Found{Hopeless: true, State: "c"}
	for name, test := range map[string]struct {
		looks  []Found
		want   Found
		waited time.Duration
		said   []string
	}{
		"done at once":    {[]Found{done}, done, 0, nil},
		"done later":      {[]Found{a, a, b, done}, done, 3 * time.Second, []string{"a 0s", "b 2s"}},
		"hopeless":        {[]Found{a, hopeless}, hopeless, time.Second, []string{"a 0s"}},
		"the budget":      {[]Found{a}, a, 10 * time.Second, []string{"a 0s", "a 4s", "a 8s"}},
		"done in the end": {append(slices.Repeat([]Found{b}, 10), done), done, 10 * time.Second, []string{"b 0s", "b 4s", "b 8s"}},
	} {
		found, waited, said, err := watch(t, nil, test.looks...)
		if err != nil || found != test.want || waited != test.waited || !slices.Equal(said, test.said) {
			t.Errorf("%s: got %+v after %s, %v, %v", name, found, waited, said, err)
		}
	}
}

func TestWatch_EndsWithItsPause(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	if found, _, _, err := watch(t, stopped, Found{State: "a"}); !errors.Is(err, stopped) || found.State != "a" {
		t.Errorf("got %+v, %v", found, err)
	}
}
