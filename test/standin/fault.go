package standin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Fault is how an operation goes wrong.
type Fault struct {
	err  error
	when moment
}

type moment int

const (
	beforehand moment = iota
	halfway
	afterwards
)

// Refused is a call that the cloud refuses: nothing happens.
func Refused(err error) Fault { return Fault{err: err, when: beforehand} }

// Partial is a call that the cloud accepts and that then goes wrong for the provider, such as a wait that times out. The
// resource exists, the engine learns its id and that it is not in order (initErrors), and updates it in the next run.
func Partial(err error) Fault { return Fault{err: err, when: halfway} }

// Lost is a call that the cloud carries out while the answer gets lost, as when the provider's process is killed. The
// resource exists and the engine does not know.
func Lost(err error) Fault { return Fault{err: err, when: afterwards} }

// FailNext makes the next operation of this kind go wrong, once. On is a type token, or a type token and a resource's
// name in the program joined by "::", or a function token for Invoke. Previews do not count.
func (c *Clouds) FailNext(on string, op Op, fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, plannedFault{on: on, op: op, fault: fault})
}

// PendingFaults lists the faults that have not come true, so that a test can tell a fault survived from one not met.
func (c *Clouds) PendingFaults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	pending := make([]string, 0, len(c.faults))
	for _, planned := range c.faults {
		pending = append(pending, fmt.Sprintf("%s of %s", planned.op, planned.on))
	}
	return pending
}

// Delay makes every operation of this kind take longer; 0 lifts it. On is as for FailNext. A resource comes into being,
// changes and goes at the end of the delay, so that whoever did not wait for it does not find it.
func (c *Clouds) Delay(on string, op Op, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d <= 0 {
		delete(c.delays, operation{on: on, op: op})
		return
	}
	c.delays[operation{on: on, op: op}] = d
}

type operation struct {
	on string
	op Op
}

type plannedFault struct {
	on    string
	op    Op
	fault Fault
}

// takeFault removes the first fault planned for this operation.
func (c *Clouds) takeFault(entry *Entry) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, planned := range c.faults {
		if planned.op == entry.Op && concerns(planned.on, entry) {
			c.faults = append(c.faults[:i:i], c.faults[i+1:]...)
			return &planned.fault
		}
	}
	return nil
}

func concerns(on string, entry *Entry) bool {
	typ, name, named := strings.Cut(on, "::")
	return typ == entry.Type && (!named || name == entry.Name)
}

// linger waits out the delay for this operation, or until the engine gives up.
func (c *Clouds) linger(ctx context.Context, entry *Entry) error {
	c.mu.Lock()
	var delay time.Duration
	for planned, d := range c.delays {
		if planned.op == entry.Op && concerns(planned.on, entry) {
			delay = max(delay, d)
		}
	}
	canceled := c.canceled
	c.mu.Unlock()
	if delay == 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-canceled:
		return errors.New("the operation was canceled")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish does an operation's work with machines until the engine gives up.
func (c *Clouds) finish(ctx context.Context, work machineWork) error {
	c.mu.Lock()
	canceled := c.canceled
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		select {
		case <-canceled:
			cancel()
		case <-stopped:
		}
	}()
	return work(ctx)
}

// drift remembers what a resource really has since its update failed.
func (c *Clouds) drift(typ, id string, really fields) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if existing := c.world.find(typ, id); existing != nil {
		existing.drifted = really
	}
}

// before are the values that the resource has until this update is done.
func (c *change) before(paths ...string) fields {
	existing := c.find(c.entry.Type, c.id).fields()
	values := fields{}
	for _, path := range paths {
		values[path] = existing.get(path)
	}
	return values
}

// settle makes the resource's properties what it really has, and reports whether that is something else.
func (o *object) settle() bool {
	if o.drifted == nil {
		return false
	}
	inputs, outputs := toFields(o.inputs), toFields(o.outputs)
	for path, value := range o.drifted {
		if inputs.has(path) {
			inputs.set(path, value)
		}
		outputs.set(path, value)
	}
	o.inputs, o.outputs, o.drifted = toProperties(inputs), toProperties(outputs), nil
	return true
}

// partialError says that the resource exists although the call failed.
type partialError struct{ err error }

func (e *partialError) Error() string { return e.err.Error() }
