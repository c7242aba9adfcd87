package standin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ha-iris/test/standin/internal/wire"
)

// DefaultLifetime is how long what the command line tools answer is valid: 15 minutes, as with an EKS token
// (kubernetes-sigs/aws-iam-authenticator). Google's is valid for 60.
const DefaultLifetime = 15 * time.Minute

// CLICall is one call of a command line tool.
type CLICall struct {
	Time time.Time
	// Tool is "aws" or "gke-gcloud-auth-plugin".
	Tool string
	Args []string
	// Refused says that the tool gave no credentials.
	Refused bool
}

// InstallCLI builds the stand-ins for "aws" and "gke-gcloud-auth-plugin" into a directory, with the Go toolchain. Once
// per test binary is enough; pass the directory as Options.CLIDir.
func InstallCLI(ctx context.Context, dir string) error {
	built := filepath.Join(dir, wire.AWS)
	build := exec.CommandContext(ctx, "go", "build", "-o", built, "ha-iris/test/standin/cmd/fakecloudcli")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build command line tools: %w\n%s", err, output)
	}
	other := filepath.Join(dir, wire.GKE)
	if err := os.Remove(other); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("install command line tools: %w", err)
	}
	if err := os.Link(built, other); err != nil {
		return fmt.Errorf("install command line tools: %w", err)
	}
	return nil
}

// SetCLILifetime sets how long the next answers of the command line tools are valid. A client asks again when an answer
// has expired, and not before.
func (c *Clouds) SetCLILifetime(lifetime time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticket.Lifetime = lifetime
	return c.writeTicket()
}

// RefuseCLI makes the command line tools fail with the vendor's kind of message, such as what "aws" says when nobody is
// logged in; "" lets them work again.
func (c *Clouds) RefuseCLI(message string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticket.Refusal = message
	return c.writeTicket()
}

// CLICalls returns the calls of the command line tools so far.
func (c *Clouds) CLICalls() ([]CLICall, error) {
	c.mu.Lock()
	path := c.ticket.Log
	c.mu.Unlock()
	log, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read calls of command line tools: %w", err)
	}
	defer log.Close() //nolint:errcheck // Nothing was written.
	var calls []CLICall
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var call wire.Call
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			return nil, fmt.Errorf("read calls of command line tools: %w", err)
		}
		calls = append(calls, CLICall(call))
	}
	return calls, lines.Err()
}

// openTicket makes the file through which the tools learn the credentials.
func (c *Clouds) openTicket() error {
	dir, err := os.MkdirTemp("", "standin-")
	if err != nil {
		return fmt.Errorf("make directory for credentials: %w", err)
	}
	c.ticketDir = dir
	c.ticket.Lifetime = DefaultLifetime
	c.ticket.Log = filepath.Join(dir, "calls.jsonl")
	return nil
}

func (c *Clouds) ticketFile() string { return filepath.Join(c.ticketDir, "ticket.json") }

// writeTicket writes the credentials; the caller holds the lock.
func (c *Clouds) writeTicket() error {
	c.ticket.Token = c.connection.token
	c.ticket.Certificate, c.ticket.Key = c.connection.certificate, c.connection.key
	content, err := json.Marshal(c.ticket)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return writeFile(c.ticketFile(), content)
}

// writeFile replaces a file as a whole: another process may be reading it.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
