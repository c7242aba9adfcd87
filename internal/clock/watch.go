package clock

import (
	"context"
	"time"
)

// Watch looks at something again and again until it is as it should be, and says meanwhile how far it is.
type Watch struct {
	// Budget is how long, Tick the interval between two looks. Report is the interval at which it says how far it is although
	// nothing has changed.
	Budget, Tick, Report time.Duration
	// Say is called with what was found, and how long it has been waited for, when that changes and at each Report.
	Say func(state string, waited time.Duration)
	// Now and Pause are time.Now and this package's Pause, but in tests.
	Now   func() time.Time
	Pause func(context.Context, time.Duration) error
}

// Found is what one look has found.
type Found struct {
	// Done and Hopeless end the waiting.
	Done, Hopeless bool
	// State is how far it is, in words.
	State string
}

// Until returns what the last look has found: it is Done, Hopeless, or neither when the budget is over. waited is how long that
// took. The error is Pause's.
func (w Watch) Until(ctx context.Context, look func() Found) (found Found, waited time.Duration, err error) {
	began := w.Now()
	var last string
	var reported time.Time
	for {
		found = look()
		now := w.Now()
		waited = now.Sub(began)
		if found.Done || found.Hopeless || waited >= w.Budget {
			return found, waited, nil
		}
		if found.State != last || now.Sub(reported) >= w.Report {
			w.Say(found.State, waited)
			last, reported = found.State, now
		}
		if err := w.Pause(ctx, w.Tick); err != nil {
			return found, waited, err
		}
	}
}
