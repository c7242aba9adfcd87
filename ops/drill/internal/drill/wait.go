package drill

import (
	"context"
	"fmt"
	"time"

	"ha-iris/internal/clock"
)

// until asks four times a second, until it is so, the time is over or the context ends. The text says what it waits for.
func until(ctx context.Context, limit time.Duration, what string, holds func() (bool, string)) error {
	return watch(ctx, limit, 250*time.Millisecond, what, func(string) {}, holds)
}

// watch asks in each interval, and says every ten seconds, and when that changes, why it is not so yet.
func watch(ctx context.Context, limit, interval time.Duration, what string, say func(string), holds func() (bool, string)) error {
	waiting := clock.Watch{
		Budget: limit, Tick: interval, Report: 10 * time.Second, Now: time.Now, Pause: clock.Pause,
		Say: func(state string, _ time.Duration) { say(state) },
	}
	found, _, err := waiting.Until(ctx, func() clock.Found {
		done, why := holds()
		return clock.Found{Done: done, State: why}
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case !found.Done:
		return fmt.Errorf("%s: not within %s: %s", what, limit, found.State)
	}
	return nil
}
