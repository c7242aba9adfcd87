// Command volumes fails while a volume has fewer healthy replicas than it should.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/storage"
)

const usage = `volumes fails while a volume of Longhorn has fewer healthy replicas than it should: one that is lost by and by would
otherwise be noticed with the last one.

Usage: go run ./ops/volumes [--json] KUBECONFIG|-

KUBECONFIG (or - for standard input) is a kubeconfig with one context, such as the stack's:
  pulumi stack output kubeconfig --show-secrets --stack STACK | go run ./ops/volumes -
Its user must be allowed to list volumes, replicas, engines and nodes of longhorn.io in the namespace longhorn-system.

Options:
  --json  prints {"unhealthy": ["..."]} instead of lines

Exits with 0 when all volumes are healthy, 1 when one is not, 2 when that cannot be told.
What to do about one: docs/operations.md, "Replacing nodes".
`

// The exit codes.
const (
	exitHealthy   = 0
	exitUnhealthy = 1
	exitUnknown   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := check(ctx, args, stdin, stdout)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, usage); err != nil {
			return exitUnknown
		}
		return exitHealthy
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "volumes:", err) // Nowhere is left to report that this fails.
	}
	return code
}

func check(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (int, error) {
	flags := flag.NewFlagSet("volumes", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by run.
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil {
		return exitUnknown, err
	}
	if flags.NArg() != 1 {
		return exitUnknown, fmt.Errorf("got %d files, want one, or - for standard input; see: go run ./ops/volumes --help", flags.NArg())
	}
	text, err := kubeconfig.ReadFrom(flags.Arg(0), stdin)
	if err != nil {
		return exitUnknown, err
	}
	cluster := &live.Cluster{}
	cluster.Connect(text)
	unhealthy, err := storage.DefaultConfig().Volumes().Unhealthy(ctx, cluster)
	if err != nil {
		return exitUnknown, err
	}
	if err := show(stdout, unhealthy, *asJSON); err != nil {
		return exitUnknown, err
	}
	if len(unhealthy) > 0 {
		return exitUnhealthy, nil
	}
	return exitHealthy, nil
}

func show(stdout io.Writer, unhealthy []string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(stdout).Encode(map[string]any{"unhealthy": append([]string{}, unhealthy...)})
	}
	for _, line := range unhealthy {
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return err
		}
	}
	if len(unhealthy) == 0 {
		_, err := fmt.Fprintln(stdout, "every volume has all its replicas, and they are healthy")
		return err
	}
	return nil
}
