// Package processes stops, continues and kills the processes of the database: all of the pod's that are not this program's own.
//
// A process with a single thread does nothing in user space from the moment of the signal: one that runs is interrupted, one
// that sleeps or waits for a processor stops before it runs again. One in uninterruptible sleep, as in fsync on a volume that
// stalls, takes the signal when it leaves it, before it returns to user space: it cannot tell anybody that its write was
// acknowledged. No process can be in the middle of a fork: fork begins anew when a signal is pending. Of a process with several
// threads one takes the signal and stops the others, when it gets a processor: with 50 busy processes on 2 cores up to 38 ms
// later. Pause waits for that.
package processes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"ha-iris/agent/internal/boottime"
)

const (
	// scans bounds the looks of a call that waits for what was signalled to run or to be gone.
	scans = 20
	// settle is between two looks that wait.
	settle = 5 * time.Millisecond
	// patience bounds a pause: half of package fence's margin. The next sweep goes on.
	patience = 500 * time.Millisecond
)

// Config is where the processes are and how they are reached.
type Config struct {
	// Root is the process file system, /proc.
	Root string
	// Self is this program's process.
	Self int
	// Signal sends a signal, as syscall.Kill.
	Signal func(pid int, signal syscall.Signal) error
	Now    boottime.Clock
	// Record is called when Memory has changed and before the first signal that follows from it.
	Record func()
	Log    *slog.Logger
}

// Memory is what has to outlive this program.
type Memory struct {
	// Pausing says that processes may be stopped that have to be continued.
	Pausing bool `json:"pausing"`
	// Foreign are those that were stopped already when the pause began: a debugger's or a person's, who continues them. What is
	// kept is these and not the ones stopped here: a record that is lost must not leave a part of the database stopped.
	Foreign []Identity `json:"foreign,omitempty"`
	// Ended is when the database was ended, or 0. What began later belongs to a new container, which asks before it starts.
	Ended time.Duration `json:"ended"`
}

// Database is the processes. Only Denied may be called beside another method.
type Database struct {
	config  Config
	pausing bool
	foreign map[Identity]bool
	ended   time.Duration
	denied  map[Identity]bool
	// deniedCount counts the processes that could not be signalled.
	deniedCount atomic.Int64
}

// New returns the processes, with what another run of this program has left.
func New(config Config, memory Memory) *Database {
	d := &Database{
		config: config, pausing: memory.Pausing, ended: memory.Ended,
		foreign: map[Identity]bool{}, denied: map[Identity]bool{},
	}
	for _, one := range memory.Foreign {
		d.foreign[one] = true
	}
	return d
}

// Memory returns what New needs to go on.
func (d *Database) Memory() Memory {
	foreign := slices.SortedFunc(maps.Keys(d.foreign), func(a, b Identity) int { return a.PID - b.PID })
	return Memory{Pausing: d.pausing, Foreign: foreign, Ended: d.ended}
}

// Denied is the number of processes that could not be signalled so far.
func (d *Database) Denied() int64 {
	return d.deniedCount.Load()
}

// Begin is called when the database was let start: what was ended before is past.
func (d *Database) Begin() {
	d.ended = 0
}

// Left is the number of processes of the database that are there, without what came after its end.
func (d *Database) Left() (int, error) {
	all, err := d.scan()
	if err != nil {
		return 0, err
	}
	if d.ended > 0 {
		all = slices.DeleteFunc(all, d.after)
	}
	return len(all), nil
}

// Pause stops every process, and looks again until a look finds no new one: a process that was about to be signalled may have
// forked. Called again in every round, because the kubelet and people begin new ones (exec).
func (d *Database) Pause(ctx context.Context) error {
	all, err := d.scan()
	if err != nil {
		return err
	}
	if !d.pausing {
		d.pausing = true
		for _, one := range all {
			if one.state == stopped {
				d.foreign[one.Identity] = true
			}
		}
		d.config.Record()
	}
	signalled := map[Identity]bool{}
	for began := time.Now(); ; {
		fresh, unsettled := d.stop(all, signalled)
		switch {
		case fresh == 0 && unsettled == 0:
			return nil
		case time.Since(began) >= patience:
			return fmt.Errorf("pause: after %v there are %d new processes, and %d that have not stopped", patience, fresh, unsettled)
		case fresh == 0:
			err = wait(ctx)
		default:
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("pause: %w", err)
		}
		if all, err = d.scan(); err != nil {
			return err
		}
	}
}

// stop signals those that have not been, and says how many they were, and how many have threads that may still run.
func (d *Database) stop(all []process, signalled map[Identity]bool) (fresh, unsettled int) {
	for _, one := range all {
		switch {
		case one.state == stopped:
		case !signalled[one.Identity]:
			// One that was stopped by others and runs now is stopped here from now on.
			delete(d.foreign, one.Identity)
			signalled[one.Identity] = true
			if d.send(one, syscall.SIGSTOP) {
				fresh++
			}
		case one.threads > 1 && (one.state == running || one.state == sleeping) && !d.denied[one.Identity]:
			unsettled++
		}
	}
	return fresh, unsettled
}

// Continue lets everything run that was stopped here. It also signals what is not stopped: a process that waits for the disk has
// the stop still before it, and SIGCONT takes that back.
func (d *Database) Continue(ctx context.Context) error {
	if !d.pausing {
		return nil
	}
	first := true
	for range scans {
		all, err := d.scan()
		if err != nil {
			return err
		}
		left := 0
		for _, one := range all {
			if d.foreign[one.Identity] || (!first && one.state != stopped) {
				continue
			}
			if d.send(one, syscall.SIGCONT) && one.state == stopped {
				left++
			}
		}
		if left == 0 {
			d.pausing, d.foreign = false, map[Identity]bool{}
			d.config.Record()
			return nil
		}
		first = false
		if err := wait(ctx); err != nil {
			return fmt.Errorf("continue: %w", err)
		}
	}
	return fmt.Errorf("continue: processes were still stopped after %d signals", scans)
}

// End kills every process that began before the end. They are stopped before, so that none can beget another one that would
// count as new. It returns an error while some are left; what waits for the disk dies when that answers.
func (d *Database) End(ctx context.Context) error {
	var problems []error
	if d.ended == 0 {
		problems = append(problems, d.Pause(ctx))
		d.ended = d.config.Now()
		d.config.Record()
	}
	left := 0
	for range scans {
		all, err := d.scan()
		if err != nil {
			return errors.Join(append(problems, err)...)
		}
		left = 0
		for _, one := range all {
			if !d.after(one) && d.send(one, syscall.SIGKILL) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("end: %w", err)
		}
	}
	return errors.Join(append(problems, fmt.Errorf("end: %d processes are killed and still there", left))...)
}

// after says that a process began after the end.
func (d *Database) after(one process) bool {
	return one.began() > d.ended
}

// send signals a process and says whether that had an effect. Who may not be signalled is said once, and counted.
func (d *Database) send(one process, signal syscall.Signal) bool {
	err := d.config.Signal(one.PID, signal)
	if err == nil {
		return true
	}
	if !errors.Is(err, syscall.ESRCH) {
		d.deny(one, signal.String(), err)
	}
	return false
}

// deny says of a process, once, that the check does not reach it.
func (d *Database) deny(one process, what string, err error) {
	if d.denied[one.Identity] {
		return
	}
	d.denied[one.Identity] = true
	d.deniedCount.Add(1)
	d.config.Log.Error("the check does not reach a process", "pid", one.PID, "name", one.name, "tried", what, "error", err)
}

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
		return nil
	}
}
