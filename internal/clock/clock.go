// Package clock waits.
package clock

import (
	"context"
	"time"
)

// Pause returns after a length of time, or with the context's error when that ends first.
func Pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
