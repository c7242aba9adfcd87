package writer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/ledger"
)

// Inside is a second writer, in the database's own pod: what a database that is cut off acknowledges, nobody else sees. It notes
// each acknowledgement in a file of the container, which is on its node's own disk.
type Inside struct {
	Options

	// StandIn is that the database is the sandbox's stand-in, which acknowledges over HTTP too.
	StandIn bool
	boot    time.Time
	error   time.Duration
}

// longest is how long the writer goes on when nobody ends it.
const longest = 30 * time.Minute

// File is the base name of the file in /tmp.
func (i *Inside) File() string { return "ha-iris-drill-" + i.Run + ".acks" }

func (i *Inside) path() string { return "/tmp/" + i.File() }

// script starts the writer and returns.
func (i *Inside) script() string {
	count := FirstInside + int(longest.Seconds()*i.Rate)
	pause := strconv.FormatFloat(1/i.Rate, 'f', 3, 64)
	loop := fmt.Sprintf("n=%d; while [ $n -lt %d ] && [ ! -e %s.stop ]; do n=$((n+1)); ", FirstInside, count, i.path())
	note := `echo "$n $(cut -d' ' -f1 /proc/uptime)" >> ` + i.path()
	if i.StandIn {
		ref := fmt.Sprintf(`%%5EhaIrisDrill(%%22%s%%22,$n)`, i.Run)
		return fmt.Sprintf(`(%swget -q -O /dev/null --post-data "row=$n" "http://127.0.0.1:52773/iris-standin/node?transaction=1&ref=%s" && %s; sleep %s; done)`,
			loop, ref, note, pause) + detached
	}
	name := fmt.Sprintf(`%s(\"%s\",${n})`, Global, i.Run)
	typed := fmt.Sprintf(`echo "tstart  set %s=\$get(%s)+1 tcommit  write \"ack=\"_${n}_\".\",!"`, name, name)
	return fmt.Sprintf(`((%s%s; sleep %s; done) | iris session IRIS -U USER | while read -r line; do case $line in *ack=*.) n=${line##*ack=}; n=${n%%.}; %s;; esac; done)`,
		loop, typed, pause, note) + detached
}

const detached = ` </dev/null >/dev/null 2>&1 & echo started`

// Start starts the writer, and learns when the node's clock began: times without a date that survive the clocks' differences.
func (i *Inside) Start(ctx context.Context, shell Shell) error {
	if err := i.synchronize(ctx, shell); err != nil {
		return err
	}
	said, err := attach(ctx, shell, i.script())
	if err != nil || !strings.Contains(said, "started") {
		return fmt.Errorf("start the writer in the pod: %w", errors.Join(err, fmt.Errorf("it said %q", said)))
	}
	return nil
}

// synchronize finds when the node started, by this machine's clock. Half of what the shortest of three questions takes is its
// error.
func (i *Inside) synchronize(ctx context.Context, shell Shell) error {
	for range 3 {
		before := time.Now()
		said, err := attach(ctx, shell, "cut -d' ' -f1 /proc/uptime")
		took := time.Since(before)
		if err != nil {
			return fmt.Errorf("read the node's clock: %w", err)
		}
		uptime, err := strconv.ParseFloat(strings.TrimSpace(said), 64)
		if err != nil {
			return fmt.Errorf("read the node's clock: got %q", said)
		}
		if i.boot.IsZero() || took/2 < i.error {
			i.error = took / 2
			i.boot = before.Add(took / 2).Add(-time.Duration(uptime * float64(time.Second)))
		}
	}
	return nil
}

// ClockError is how wrong the times may be.
func (i *Inside) ClockError() time.Duration { return i.error }

// ReadCommand prints the file, in the container.
func (i *Inside) ReadCommand() string { return "cat " + i.path() }

// Stop ends the writer.
func (i *Inside) Stop(ctx context.Context, shell Shell) error {
	_, err := attach(ctx, shell, ": > "+i.path()+".stop")
	return err
}

// Parse reads the file's content.
func (i *Inside) Parse(text string) []ledger.Write { return parseAcknowledged(text, i.boot) }

func attach(ctx context.Context, shell Shell, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var said strings.Builder
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&said, reader) // It ends with the pipe.
	}()
	err := shell.Attach(ctx, script, nil, writer)
	_ = writer.Close()
	<-done
	return said.String(), err
}
