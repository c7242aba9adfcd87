package fence

import (
	"errors"
	"fmt"
)

// Start is what is known when a container of the database is about to start.
type Start struct {
	// Rounds are the probes made for it, some in a row: a single lost packet must not send the container into Kubernetes'
	// back-off. PauseAfter divided by Interval is a good number.
	Rounds []Round
	// EndedBefore says that the check has ended the database in this pod for good, or that there was a time of which it knows
	// nothing (another boot, a lost record), so that somebody may have taken over.
	EndedBefore bool
}

// Admit returns why the database must not start, every reason joined, or nil. A kubelet restarts containers without asking
// anybody, also on a node that is cut off, and on one that is back before it hears that its pod is no longer wanted: iris-main
// asks here (--before).
func (p Parameters) Admit(start Start) error {
	var reasons []error
	answered, word := false, WordUnknown
	for _, round := range start.Rounds {
		answered = answered || p.answers(round, false)
		if round.Pod != WordUnknown {
			word = round.Pod
		}
	}
	if !answered {
		reasons = append(reasons, fmt.Errorf("neither the API server nor a guard on another node answered in %d rounds: "+
			"this node is cut off", len(start.Rounds)))
	}
	if word.Final() {
		reasons = append(reasons, errors.New("the API server no longer wants this pod: the volume may be in use elsewhere"))
	}
	if word == WordUnknown && start.EndedBefore {
		reasons = append(reasons, errors.New("the database was ended, or nobody watched, and only the API server, "+
			"which does not answer, can say that nobody has taken over"))
	}
	return errors.Join(reasons...)
}
