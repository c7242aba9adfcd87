package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/fault"
)

// experiment is one of the drill's, or a cut that ends by itself.
type experiment struct {
	name string
	kind fault.Kind
	// returns is after how many seconds a node that is cut off is put back; zero: once the database is up again.
	returns int
}

// returning is how the name of a cut with an end begins.
const returning = string(fault.CutNode) + "-"

// allExperiments are the drill's, the quick ones first, and the cuts with an end. The early ones are those that damage a volume
// that nobody guards; about 50 s is where a take-over begins (longhorn-real.md).
func allExperiments() []experiment {
	var all []experiment
	for _, kind := range fault.Kinds() {
		all = append(all, experiment{name: string(kind), kind: kind})
	}
	for _, seconds := range []int{5, 10, 20, 40, 60, 70, 80, 90, 110, 190} {
		all = append(all, cutFor(seconds))
	}
	return all
}

func cutFor(seconds int) experiment {
	return experiment{name: returning + strconv.Itoa(seconds), kind: fault.CutNode, returns: seconds}
}

func parseExperiment(name string) (experiment, error) {
	if slices.Contains(fault.Kinds(), fault.Kind(name)) {
		return experiment{name: name, kind: fault.Kind(name)}, nil
	}
	text, cut := strings.CutPrefix(name, returning)
	seconds, err := strconv.Atoi(text)
	if !cut || err != nil || seconds < 1 || cutFor(seconds).name != name {
		return experiment{}, fmt.Errorf("there is no experiment %q; want some of %q, or %sS with a number of seconds", name, fault.Kinds(), returning)
	}
	return cutFor(seconds), nil
}

// guess is how long a run takes before one was made: the outage, and what the volume needs to be healthy again (longhorn-real.md).
func (e experiment) guess(setup string) time.Duration {
	switch {
	case !e.kind.NodeLost():
		return 90 * time.Second
	case setup == article && e.returns == 0:
		return 15 * time.Minute // It does not recover within the drill's 12 minutes.
	default:
		return 5*time.Minute + time.Duration(e.returns)*time.Second
	}
}
