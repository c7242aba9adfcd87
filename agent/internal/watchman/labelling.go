package watchman

import (
	"context"
	"log/slog"
	"time"

	"ha-iris/agent/internal/guard"
)

// labelInterval is how often the leader looks where the volume is attached. It is less than the 12 s that IRIS' start takes after the volume
// has come to another node (docs/architecture.md), so that the label is there about when the database is, and can be lost again.
const labelInterval = 10 * time.Second

// Labelling keeps the label on the node that has the volume, for as long as this guard leads. It runs beside the loop, which never waits for
// it: a label that is late costs seconds of a restart.
type Labelling struct {
	labeller guard.Labeller
	log      *slog.Logger
	// failure is the error that was said last, without its numbers, or empty.
	failure string
}

// NewLabelling returns a labelling that has said nothing yet.
func NewLabelling(labeller guard.Labeller, log *slog.Logger) *Labelling {
	return &Labelling{labeller: labeller, log: log}
}

// Run looks at once, and then at intervals until the context ends.
func (l *Labelling) Run(ctx context.Context) {
	ticker := time.NewTicker(labelInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.round(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (l *Labelling) round(ctx context.Context) {
	labelled, err := l.labeller.Label(ctx)
	for _, one := range labelled {
		l.log.Info("label of the node that has the volume", "node", one.Node, "has", one.Has)
	}
	if ctx.Err() == nil { // What the end of the term has cut short is no failure.
		l.tell(err)
	}
}

// tell says once that it fails, and once that it works again. The numbers in an error, such as a connection's port, change each time.
func (l *Labelling) tell(err error) {
	var failure string
	if err != nil {
		failure = ages.ReplaceAllString(err.Error(), "")
	}
	switch {
	case failure == l.failure:
		return
	case err != nil:
		l.log.Warn("the node that has the volume cannot be labelled; the database's next pod may start elsewhere", "error", err)
	default:
		l.log.Info("the node that has the volume can be labelled again")
	}
	l.failure = failure
}
