// Command nc plays the one of busybox' own image in the lab's image for clients: Debian's cannot only look whether a port is open
// (-z), and its static one crashes when it resolves a name. From the image's shell it is /usr/bin/nc: without a path the shell, which
// is busybox too, runs its own.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "nc:", err)
		os.Exit(1)
	}
}

// run connects, and unless it only looks, hands on what comes until the other side has said everything.
func run(arguments []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("nc", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	looks := flags.Bool("z", false, "only look whether the port is open")
	seconds := flags.Int("w", 0, "time limit for the connection in seconds; 0 for the system's")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("usage: nc [-z] [-w SECONDS] HOST PORT")
	}
	dialer := net.Dialer{Timeout: time.Duration(*seconds) * time.Second}
	connection, err := dialer.Dial("tcp", net.JoinHostPort(flags.Arg(0), flags.Arg(1)))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = connection.Close() }()
	if *looks {
		return nil
	}
	go func() {
		_, _ = io.Copy(connection, in) // What cannot be sent shows in the answer.
		if half, ok := connection.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, connection); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}
