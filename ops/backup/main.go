// Command backup lists the backups of a stack's database, makes one, and says how to restore one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"ha-iris/internal/clock"
	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
)

const usage = `backup lists the backups of the database's volume, makes one, and says how to restore one.

Usage: go run ./ops/backup list [options] KUBECONFIG|-
       go run ./ops/backup now  [options] KUBECONFIG|-
       go run ./ops/backup plan [options] KUBECONFIG|-

KUBECONFIG (or - for standard input) is a kubeconfig with one context, such as the stack's:
  pulumi stack output kubeconfig --show-secrets --stack STACK | go run ./ops/backup list -

  list  the backups, the newest first
  now   makes one now and waits until it is at the target: one for which IRIS is frozen, where the stack makes those
  plan  prints the lines that restore one: run them, then pulumi preview. It changes nothing

Options:
  --namespace NAME  the database's namespace (iris)
  --from NAME       plan: the backup's name or its URL; without it the newest that can be used
  --all             list: of all volumes that the target has, such as those of other stacks and of earlier generations
  --crash           now: without freezing IRIS, as Longhorn's schedule
  --timeout TIME    now: how long to wait, such as 30m (1h). Longhorn goes on with it afterwards
  --json            prints JSON

Exits with 0, 1 when there is no such backup or it failed, 2 when that cannot be told.
What comes after: docs/operations.md, "Backups".
`

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUnknown = 2
)

// errFailed is of what is certain: there is no such backup, or it failed.
var errFailed = errors.New("no backup")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := command(ctx, args, stdin, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		if _, err := io.WriteString(stdout, usage); err != nil {
			return exitUnknown
		}
		return exitDone
	case err == nil:
		return exitDone
	}
	_, _ = fmt.Fprintln(stderr, "backup:", err) // Nowhere is left to report that this fails.
	if errors.Is(err, errFailed) {
		return exitFailed
	}
	return exitUnknown
}

// options is a parsed command line.
type options struct {
	command, namespace, from, kubeconfig string
	all, crash, json                     bool
	timeout                              time.Duration
}

// commands do what the command line asks for.
func commands() map[string]func(context.Context, *database, options, io.Writer, io.Writer) error {
	return map[string]func(context.Context, *database, options, io.Writer, io.Writer) error{"list": list, "now": now, "plan": plan}
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	text, err := kubeconfig.ReadFrom(o.kubeconfig, stdin)
	if err != nil {
		return err
	}
	cluster := &live.Cluster{}
	cluster.Connect(text)
	return commands()[o.command](ctx, &database{cluster: cluster, namespace: o.namespace, pause: clock.Pause}, o, stdout, stderr)
}

// parse reads the command, the options and the file, in any order.
func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("backup", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by run.
	flags.StringVar(&o.namespace, "namespace", "iris", "")
	flags.StringVar(&o.from, "from", "", "")
	flags.BoolVar(&o.all, "all", false, "")
	flags.BoolVar(&o.crash, "crash", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.DurationVar(&o.timeout, "timeout", time.Hour, "")
	var words []string
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			return o, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, rest = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	const help = "; see: go run ./ops/backup --help"
	if len(words) != 2 {
		return o, fmt.Errorf("got %d words, want a command and a kubeconfig%s", len(words), help)
	}
	o.command, o.kubeconfig = words[0], words[1]
	switch {
	case commands()[o.command] == nil:
		return o, fmt.Errorf("there is no command %q%s", o.command, help)
	case o.from != "" && o.command != "plan":
		return o, fmt.Errorf("--from belongs to plan%s", help)
	case o.all && o.command != "list":
		return o, fmt.Errorf("--all belongs to list%s", help)
	case o.crash && o.command != "now":
		return o, fmt.Errorf("--crash belongs to now%s", help)
	case o.timeout <= 0:
		return o, fmt.Errorf("--timeout: got %v, want more than 0", o.timeout)
	}
	return o, nil
}
