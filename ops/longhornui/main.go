// Command longhornui makes Longhorn's UI reachable from this machine until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `longhornui makes Longhorn's UI reachable from this machine, until it is interrupted (Ctrl-C).

Usage: pulumi stack output kubeconfig --show-secrets --stack STACK | go run ./ops/longhornui

The kubeconfig comes from standard input. kubectl reads it from a file of mode 0600, which is deleted on exit.

Options:
  --port NUMBER     the port on 127.0.0.1 (9000)
  --namespace NAME  Longhorn's namespace (longhorn-system)

The UI has no login: while this runs, whoever can open ports of this machine can delete volumes and backups with it. Never expose it
by a load balancer or a bare Ingress.
Exits with 0 when it was interrupted, otherwise with 1.
`

// service and servicePort are those of Longhorn's chart, as in the stack's output longhornUiCommand.
const (
	service     = "longhorn-frontend"
	servicePort = 80
)

// patience is how long kubectl has to end after an interrupt before it is killed.
const patience = 5 * time.Second

func main() {
	// SIGHUP is what a terminal that is closed sends.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := command(ctx, args, stdin, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(stdout, usage)
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "longhornui:", err) // Nowhere is left to report that this fails.
	return 1
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	port, namespace, err := parse(args)
	if err != nil {
		return err
	}
	kubeconfig, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read the kubeconfig from standard input: %w", err)
	}
	if strings.TrimSpace(string(kubeconfig)) == "" {
		return errors.New("standard input has no kubeconfig; see: go run ./ops/longhornui --help")
	}
	if ctx.Err() != nil {
		return nil // Interrupted while the kubeconfig was awaited.
	}
	file, remove, err := write(kubeconfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return forward(ctx, file, port, namespace, stdout, stderr)
}

func parse(args []string) (port int, namespace string, err error) {
	flags := flag.NewFlagSet("longhornui", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by run.
	flags.IntVar(&port, "port", 9000, "")
	flags.StringVar(&namespace, "namespace", "longhorn-system", "")
	if err := flags.Parse(args); err != nil {
		return 0, "", err
	}
	switch {
	case flags.NArg() > 0:
		return 0, "", fmt.Errorf("got %q, want options only: the kubeconfig comes from standard input", flags.Arg(0))
	case port < 1 || port > 65535:
		return 0, "", fmt.Errorf("--port: got %d, want 1 to 65535", port)
	}
	return port, namespace, nil
}

// write puts the kubeconfig into a new directory that only this user can enter, and returns what removes both.
func write(kubeconfig []byte) (file string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "ha-iris-longhorn-ui-")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for the kubeconfig: %w", err)
	}
	remove = func() error {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the kubeconfig, which gives access to the cluster: delete it by hand: %w", err)
		}
		return nil
	}
	file = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("write the kubeconfig: %w", err), remove())
	}
	return file, remove, nil
}

// forward runs kubectl until the context ends or it exits by itself.
func forward(ctx context.Context, kubeconfig string, port int, namespace string, stdout, stderr io.Writer) error {
	if _, err := fmt.Fprintf(stdout, "Longhorn's UI, until Ctrl-C: http://127.0.0.1:%d\n"+
		"It has no login: whoever can open this port can delete volumes and backups.\n", port); err != nil {
		return fmt.Errorf("say where the UI is: %w", err)
	}
	kubectl := exec.CommandContext(ctx, "kubectl", "-n", namespace, "port-forward", "--address", "127.0.0.1", "service/"+service,
		fmt.Sprintf("%d:%d", port, servicePort))
	kubectl.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	kubectl.Stdout, kubectl.Stderr = stdout, stderr
	kubectl.Cancel = func() error { return kubectl.Process.Signal(os.Interrupt) }
	kubectl.WaitDelay = patience
	if err := kubectl.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("kubectl port-forward to %s in %s: %w; no such namespace or service: this stack installs no Longhorn; the port is "+
			"taken: --port", service, namespace, err)
	}
	if ctx.Err() == nil {
		return errors.New("kubectl port-forward has ended by itself; run it again")
	}
	return nil // However kubectl took the interrupt, which a terminal sends to it too.
}
