package processes

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of a start time in /proc: USER_HZ is 100 on every architecture that Go knows on Linux.
const tick = 10 * time.Millisecond

// The fields of /proc/PID/stat that count, from the state on, which is number 3 in proc_pid_stat(5).
const (
	fieldState   = 0
	fieldParent  = 1
	fieldThreads = 17
	fieldStarted = 19
)

// The states of a process that count, as proc_pid_stat(5) has them.
const (
	running  = 'R' // Or waiting for a processor.
	sleeping = 'S'
	stopped  = 'T' // By a signal; a debugger's is another one, t.
	zombie   = 'Z'
	dead     = 'X'
)

// Identity is a process for as long as the node is up: a number alone is given again.
type Identity struct {
	PID int `json:"pid"`
	// Started is when the process began, in ticks since the boot.
	Started uint64 `json:"started"`
}

// began is when a process began, by the clock of package boottime, rounded down to a tick.
func (i Identity) began() time.Duration {
	return time.Duration(min(i.Started, 1<<40)) * tick // More than that many ticks would not fit.
}

// process is what counts of /proc/PID/stat.
type process struct {
	Identity
	name    string
	state   byte
	parent  int
	threads int
}

// gone says that nothing of the process runs or ever will. A thread may go on after the first one of its process.
func (p process) gone() bool {
	return (p.state == zombie || p.state == dead) && p.threads <= 1
}

// parse reads a line of /proc/PID/stat. A name may contain blanks and parentheses, so the fields begin after the last one.
func parse(line string) (process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("a stat without a name: %q", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) <= fieldStarted || len(fields[fieldState]) != 1 {
		return process{}, fmt.Errorf("a stat with %d fields behind the name: %q", len(fields), line)
	}
	result := process{name: line[open+1 : end], state: fields[fieldState][0]}
	var problems [4]error
	result.PID, problems[0] = strconv.Atoi(strings.TrimSpace(line[:open]))
	result.parent, problems[1] = strconv.Atoi(fields[fieldParent])
	result.threads, problems[2] = strconv.Atoi(fields[fieldThreads])
	result.Started, problems[3] = strconv.ParseUint(fields[fieldStarted], 10, 64)
	for _, err := range problems {
		if err != nil {
			return process{}, fmt.Errorf("a stat that cannot be read: %w: %q", err, line)
		}
	}
	return result, nil
}
