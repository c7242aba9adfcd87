package drill

import (
	"context"
	"fmt"
	"time"
)

// until asks four times a second, until it is so, the time is over or the context ends. The text says what it waits for.
func until(ctx context.Context, limit time.Duration, what string, holds func() (bool, string)) error {
	deadline := time.Now().Add(limit)
	for {
		done, why := holds()
		switch {
		case done:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s: not within %s: %s", what, limit, why)
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

func sleep(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(length):
		return nil
	}
}
