package irisstandin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// container is a run of iris-main.
type container struct {
	settings Settings
	options  mainOptions
	log      *logger
	out      io.Writer
	err      io.Writer
}

// runMain is iris-main, the entry point. It returns the container's exit code.
func runMain(s Settings, arguments []string, out, stderr io.Writer) int {
	options, err := parseMain(arguments)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "iris-main: %v\n%s", err, mainUsage)
		return 1
	}
	if options.help {
		_, _ = io.WriteString(out, mainUsage)
		return 0
	}
	installed, err := readInstallation(s.InstallDir)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "iris-main: %v\n", err)
		return 1
	}
	if options.version {
		_, _ = fmt.Fprintln(out, installed.Version)
		return 0
	}
	if options.instance != "" {
		s.Instance = options.instance
	}
	shared := &lockedWriter{out: out}
	log := &logger{out: shared}
	if file, err := os.OpenFile(filepath.Join(s.Home, "iris-main.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o664); err == nil {
		defer func() { _ = file.Close() }()
		log.out = io.MultiWriter(shared, file)
	}
	c := &container{s, options, log, shared, stderr}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT) // Facts 2.3.
	defer stop()
	if err := c.run(ctx, installed); err != nil {
		log.fail("%v", err)
		return 1
	}
	return 0
}

// lockedWriter keeps the lines of several writers apart.
type lockedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lockedWriter) Write(content []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(content)
}

func (c *container) run(ctx context.Context, installed installation) (err error) {
	defer func() { err = errors.Join(err, c.command("--exit", c.options.exit)) }()
	if c.options.checkCaps {
		bounding, err := boundingSet("/proc/self/status")
		if err == nil {
			err = checkCapabilities(installed.Version, bounding)
		}
		if err != nil {
			return err
		}
	}
	_, statErr := os.Stat(c.settings.mgr(stateFile))
	isFirst := errors.Is(statErr, os.ErrNotExist)
	if err := c.settings.prepareDurable(ctx, c.log); err != nil {
		return err
	}
	seen := c.look(installed.Edition) // Before they are used, so that no change in between is missed.
	if err := c.copyKey(installed.Edition); err != nil {
		return err
	}
	followers, stopFollowing := c.follow()
	defer followers.Wait()
	defer stopFollowing()
	if c.options.agent {
		c.listenAgent(ctx)
	}
	if isFirst {
		if err := c.command("--create", c.options.create); err != nil {
			return err
		}
	}
	if err := c.command("--before", c.options.before); err != nil {
		return err
	}
	err = c.runInstance(ctx, seen)
	return errors.Join(err, c.command("--terminate", c.options.terminate))
}

// follow shows messages.log in the container's log, and the file of --log (facts 2.2).
func (c *container) follow() (*sync.WaitGroup, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	var followers sync.WaitGroup
	for _, path := range []string{c.settings.mgr("messages.log"), c.options.log} {
		if path != "" {
			offset := sizeOf(path) // Before anything is started that writes to it.
			followers.Go(func() { follow(ctx, path, offset, c.out) })
		}
	}
	return &followers, stop
}

// runInstance starts the instance, waits until the container or the instance is to end, and stops it in order.
func (c *container) runInstance(ctx context.Context, seen watched) error {
	if !c.options.up {
		<-ctx.Done() // Somebody else may have started it.
		return c.stop()
	}
	if c.options.nostu {
		c.log.warn("--nostu: the stand-in has no single-user mode of its own choice")
	}
	c.log.info("starting InterSystems IRIS instance %s (stand-in)", c.settings.Instance)
	instance, err := c.settings.spawn(ctx, os.Stderr)
	if err != nil {
		return fmt.Errorf("start of instance %s failed: %w", c.settings.Instance, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- instance.Wait() }()
	if err := c.started(ctx); err != nil {
		return errors.Join(err, c.stop(), <-ended)
	}
	c.log.info("...started InterSystems IRIS instance %s", c.settings.Instance) // As in the article's log.
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go c.watch(watching, seen)
	select {
	case err := <-ended:
		// A stop from inside ends the container (facts 2.3).
		c.log.info("instance %s is down", c.settings.Instance)
		if err != nil {
			return fmt.Errorf("instance %s ended: %w", c.settings.Instance, err)
		}
		return nil
	case <-ctx.Done():
		if !c.options.down {
			return nil
		}
		if err := c.stop(); err != nil {
			return err
		}
		return <-ended
	}
}

func (c *container) started(ctx context.Context) error {
	if c.options.passwordFile != "" {
		if err := c.setPassword(ctx); err != nil {
			return err
		}
	}
	return c.command("--after", c.options.after)
}

// setPassword is --password-file: plain text, of CSPSystem too; the file is deleted and a sentinel left, if they can be
// (facts 3.3; the sentinel's name is not in them).
func (c *container) setPassword(ctx context.Context) error {
	content, err := os.ReadFile(c.options.passwordFile)
	if err != nil {
		if _, done := os.Stat(c.options.passwordFile + ".done"); done == nil {
			return nil
		}
		return fmt.Errorf("read the password file: %w", err)
	}
	if err := c.settings.request(ctx, request{Verb: "password", Text: strings.TrimSpace(string(content))}); err != nil {
		return fmt.Errorf("set the password: %w", err)
	}
	if os.Remove(c.options.passwordFile) == nil {
		_ = writeSynced(c.options.passwordFile+".done", nil)
	}
	return nil
}

// copyKey copies the licence key into mgr/. A Community image takes no commercial one (facts 1.10, 2.2). A licensed image
// without a key starts too: the facts do not say what it then refuses.
func (c *container) copyKey(edition Edition) error {
	if c.options.key == "" {
		return nil
	}
	if edition == Community {
		c.log.warn("the Community Edition accepts only a Community key: %s is ignored", c.options.key)
		return nil
	}
	content, err := os.ReadFile(c.options.key)
	if err == nil {
		err = replaceSynced(c.settings.mgr("iris.key"), content)
	}
	if err != nil {
		return fmt.Errorf("copy the licence key: %w", err)
	}
	return nil
}

// watched is the content of the files that are watched.
type watched struct {
	edition    Edition
	merge, key []byte
}

func (c *container) look(edition Edition) watched {
	merge, _ := os.ReadFile(c.settings.MergeFile)
	key, _ := os.ReadFile(c.options.key)
	return watched{edition, merge, key}
}

// watch merges the merge file again when it changes, and copies a licence key that changes (facts 2.2, 2.7).
func (c *container) watch(ctx context.Context, seen watched) {
	for pause(ctx, c.settings.Watch) == nil {
		now := c.look(seen.edition)
		if now.merge != nil && !bytes.Equal(now.merge, seen.merge) {
			seen.merge = now.merge
			if err := c.settings.request(ctx, request{Verb: "merge", Path: c.settings.MergeFile}); err != nil {
				c.log.fail("merging %s failed: %v", c.settings.MergeFile, err)
			} else {
				c.log.info("merged %s", c.settings.MergeFile)
			}
		}
		if now.key != nil && !bytes.Equal(now.key, seen.key) {
			seen.key = now.key
			if err := c.copyKey(seen.edition); err != nil {
				c.log.fail("%v", err)
			}
		}
	}
}

// stop is the orderly stop; it has its own time limit in the instance (facts 2.3).
func (c *container) stop() error {
	c.log.info("stopping instance %s", c.settings.Instance)
	if err := c.settings.stopInstance(context.Background()); err != nil && !isDown(err) {
		return fmt.Errorf("stop of instance %s failed: %w", c.settings.Instance, err)
	}
	return nil
}

// command runs the command of an option. A failure ends the container (facts 2.2, for --before and --after).
func (c *container) command(option, line string) error {
	if line == "" {
		return nil
	}
	c.log.info("executing command %s", line)
	command := exec.Command("/bin/sh", "-c", line) //nolint:gosec // That is what the option is for.
	command.Stdout, command.Stderr = c.out, c.err
	if err := command.Run(); err != nil {
		return fmt.Errorf("command of %s failed: %w", option, err)
	}
	return nil
}

// listenAgent opens ISCAgent's port (facts 2.1). It serves mirrors only; here it answers nothing.
func (c *container) listenAgent(ctx context.Context) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", c.settings.Bind, c.options.agentPort))
	if err != nil {
		c.log.warn("ISCAgent: %v", err)
		return
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go acceptAndClose(listener)
}
