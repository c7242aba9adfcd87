package fencer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// socketFile is where the database's container asks.
	socketFile = "fence.sock"
	// copyFile is this program, for the database's container, whose image does not have it.
	copyFile = "agent"
)

// CopySelf puts this program into the directory.
func CopySelf(directory string) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	source, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = source.Close() }() // Only read.
	target, err := os.CreateTemp(directory, ".agent-*")
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	_, err = io.Copy(target, source)
	const executable = 0o555
	err = errors.Join(err, target.Chmod(executable), target.Close())
	if err == nil {
		// In one step: the other container may be running the old one.
		err = os.Rename(target.Name(), filepath.Join(directory, copyFile))
	}
	if err != nil {
		_ = os.Remove(target.Name()) // Nobody runs it.
		return fmt.Errorf("copy this program to %s: %w", directory, err)
	}
	return nil
}

// Serve runs the check with its socket in the directory, and /healthz and /metrics at the address, until the context ends and
// nothing is left to be watched.
func (l *Loop) Serve(ctx context.Context, directory, address string) error {
	path := filepath.Join(directory, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier run: %w", err)
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	public, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), socket.Close())
	}
	l.serve(ctx, socket, public)
	return nil
}

func (l *Loop) serve(ctx context.Context, socket, public net.Listener) {
	const slow = 10 * time.Second // Nobody here sends more than a line.
	admissions := &http.Server{Handler: l.admissions(), ReadHeaderTimeout: slow}
	others := &http.Server{Handler: l.Handler(), ReadHeaderTimeout: slow}
	for server, listener := range map[*http.Server]net.Listener{admissions: socket, others: public} {
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				l.config.Log.Error("no longer served", "address", listener.Addr().String(), "error", err)
			}
		}()
	}
	// A pod that is on its way out starts no database.
	stop := context.AfterFunc(ctx, func() { _ = admissions.Close() })
	defer stop()
	l.Run(ctx)
	_ = errors.Join(admissions.Close(), others.Close()) // The process ends.
}
