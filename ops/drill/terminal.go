package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"ha-iris/ops/drill/internal/kube"
)

// terminal is where progress is printed and questions are answered.
type terminal struct {
	out   io.Writer
	mu    sync.Mutex
	in    io.Reader
	once  sync.Once
	lines chan string // Closed at the end of the input.
}

func newTerminal(in io.Reader, out io.Writer) *terminal {
	return &terminal{out: out, in: in, lines: make(chan string)}
}

func (t *terminal) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	_, _ = fmt.Fprintf(t.out, "%s  %s\n", time.Now().Format("15:04:05"), line) // Progress that cannot be printed stops nothing.
}

// read gives lines that are typed; it begins when the first one is asked for, and one reader serves all questions.
func (t *terminal) read() <-chan string {
	t.once.Do(func() {
		go func() {
			defer close(t.lines)
			for scanner := bufio.NewScanner(t.in); scanner.Scan(); {
				t.lines <- strings.TrimSpace(scanner.Text())
			}
		}()
	})
	return t.lines
}

// confirm asks for the context's name, unless it is a sandbox or nobody is to be asked.
func (o *options) confirm(ctx context.Context, target kube.Target, terminal *terminal) error {
	if o.sandbox != "" {
		return nil
	}
	if o.yes {
		if o.context == "" {
			return errors.New("--yes needs --context: which cluster is meant must be said by somebody")
		}
		return nil
	}
	terminal.say("this is no sandbox: type the name of the context to go on")
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line, open := <-terminal.read():
		if !open || line != target.Context {
			return fmt.Errorf("the context was not confirmed: want %q typed, or --context %s --yes", target.Context, target.Context)
		}
		return nil
	}
}

// operatorTime is how long somebody may take to do by hand what there is no command for.
const operatorTime = 30 * time.Minute

// ask waits until something is seen to be done, or Enter is pressed.
func (t *terminal) ask(ctx context.Context, what string, done func() bool) error {
	t.say("%s; Enter when it is done", what)
	ctx, cancel := context.WithTimeout(ctx, operatorTime)
	defer cancel()
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	lines := t.read()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case _, open := <-lines:
			if open {
				return nil
			}
			lines = nil // There is no terminal: only what is seen counts.
		case <-ticks.C:
			if done() {
				return nil
			}
		}
	}
}
