package fakeapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// IRIS plays what a drill asks of a database's container: sessions that write, list and remove rows, and the node's clock.
type IRIS struct {
	// Fails says, for a session and a row, what to do in place of writing it: end, hang, error, or nothing.
	Fails func(session int, row int64) string
	// Other runs the scripts that are no sessions.
	Other func(script string, stdout io.Writer) error

	mu       sync.Mutex
	rows     map[string]map[int64]int
	sessions int
	up       context.Context
	down     context.CancelFunc
}

// typed is the line that writes a row.
var typed = regexp.MustCompile(`^tstart  set \^haIrisDrill\("(\w+)",(\d+)\)=\$get\(\^haIrisDrill\("\w+",\d+\)\)\+1 tcommit  write "ack="_\d+_"\.",!$`)

// named is a run in a line of another kind.
var named = regexp.MustCompile(`\^haIrisDrill\("(\w+)"\)`)

// NewIRIS starts one.
func NewIRIS() *IRIS {
	i := &IRIS{rows: map[string]map[int64]int{}}
	i.Start()
	return i
}

// Start brings it up, with the rows that it has.
func (i *IRIS) Start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.up, i.down = context.WithCancel(context.Background())
}

// Stop ends it, and all sessions.
func (i *IRIS) Stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down()
}

// Lose forgets the last rows of every run.
func (i *IRIS) Lose(count int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, rows := range i.rows {
		for range count {
			last := int64(0)
			for row := range rows {
				last = max(last, row)
			}
			delete(rows, last)
		}
	}
}

// Sessions is how many there were, Rows how many rows a run has.
func (i *IRIS) Sessions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sessions
}

// Rows is how many rows there are.
func (i *IRIS) Rows() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	count := 0
	for _, rows := range i.rows {
		count += len(rows)
	}
	return count
}

// Attach runs a script in the container.
func (i *IRIS) Attach(ctx context.Context, script string, stdin io.Reader, stdout io.Writer) error {
	i.mu.Lock()
	up := i.up
	i.mu.Unlock()
	if up.Err() != nil {
		return errors.New("the container does not run")
	}
	if !strings.HasPrefix(script, "exec iris session") {
		if i.Other == nil {
			return fmt.Errorf("cannot run %q", script)
		}
		return i.Other(script, stdout)
	}
	i.mu.Lock()
	i.sessions++
	number := i.sessions
	i.mu.Unlock()
	_, _ = io.WriteString(stdout, "\nNode: iris, Instance: IRIS\n\nUSER>")
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdin); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			case <-up.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-up.Done():
			return errors.New("the container has ended")
		case line, open := <-lines:
			if !open {
				return nil
			}
			if end, err := i.line(ctx, number, line, stdout); end {
				return err
			}
		}
	}
}

func (i *IRIS) line(ctx context.Context, number int, line string, stdout io.Writer) (end bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	run := ""
	if match := named.FindStringSubmatch(line); match != nil {
		run = match[1]
	}
	switch {
	case line == "halt":
		return true, nil
	case strings.HasPrefix(line, "kill "):
		delete(i.rows, run)
	case strings.HasPrefix(line, "zwrite "):
		for row, times := range i.rows[run] {
			_, _ = fmt.Fprintf(stdout, "^haIrisDrill(%q,%d)=%d\n", run, row, times)
		}
	case strings.HasPrefix(line, "write "):
		_, _ = fmt.Fprintln(stdout, strings.NewReplacer(`write "`, "", `"_"`, "", `",!`, "").Replace(line))
	default:
		return i.set(ctx, number, line, stdout)
	}
	return false, nil
}

func (i *IRIS) set(ctx context.Context, number int, line string, stdout io.Writer) (end bool, err error) {
	match := typed.FindStringSubmatch(line)
	if match == nil {
		return true, fmt.Errorf("cannot read %q", line)
	}
	row, err := strconv.ParseInt(match[2], 10, 64)
	if err != nil {
		return true, err
	}
	what := ""
	if i.Fails != nil {
		what = i.Fails(number, row)
	}
	switch what {
	case "end":
		return true, errors.New("the container is gone")
	case "hang":
		<-ctx.Done()
		return true, ctx.Err()
	case "error":
		_, _ = io.WriteString(stdout, "\n<FILEFULL>\nUSER>")
		return false, nil
	}
	if i.rows[match[1]] == nil {
		i.rows[match[1]] = map[int64]int{}
	}
	i.rows[match[1]][row]++
	said := fmt.Sprintf("ack=%d.\n\nUSER>", row)
	_, _ = io.WriteString(stdout, said[:5]) // A number may arrive in two parts.
	_, _ = io.WriteString(stdout, said[5:])
	return false, nil
}
