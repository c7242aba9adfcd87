package writer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
	"time"

	"ha-iris/ops/drill/internal/ledger"
)

// Shell runs commands in the database's container.
type Shell interface {
	// Attach runs a shell's script in the container that runs now, with its input and output, until either ends.
	Attach(ctx context.Context, script string, stdin io.Reader, stdout io.Writer) error
}

// session opens a session of the operating system's user, which needs no password (iris.md 2.1).
const session = "exec iris session IRIS -U USER"

// Session writes through "iris session" in the container: TSTART, SET, TCOMMIT, and then the acknowledgement is printed.
type Session struct {
	Options

	Shell Shell

	mu          sync.Mutex
	outstanding map[int64]time.Time
	lines       chan int64 // Nil: no session.
}

// About implements Writer.
func (s *Session) About() string { return fmt.Sprintf("iris session in the pod, %g rows/s", s.Rate) }

// Run implements Writer.
func (s *Session) Run(ctx context.Context, into *ledger.Ledger) {
	var talking sync.WaitGroup
	talking.Go(func() {
		for ctx.Err() == nil {
			s.talk(ctx, into)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	defer talking.Wait()
	ticks := time.NewTicker(s.interval())
	defer ticks.Stop()
	for row := int64(1); ; row++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			s.send(row, into)
		}
	}
}

// send hands a row to the session; without one it certainly is not written.
func (s *Session) send(row int64, into *ledger.Ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.lines != nil {
		select {
		case s.lines <- row:
			s.outstanding[row] = now
			return
		default:
		}
	}
	into.Add(ledger.Write{Row: row, Outcome: ledger.Failed, Sent: now, Done: now})
}

// line is what is typed for a row. The value counts how often it was written. What is typed never looks like an acknowledgement,
// should the session echo it.
func (s *Session) line(row int64) string {
	name := node(s.Options.Run, row)
	return fmt.Sprintf("tstart  set %s=$get(%s)+1 tcommit  write \"ack=\"_%d_\".\",!\n", name, name, row)
}

var (
	acknowledged = regexp.MustCompile(`ack=(\d+)\.`)
	failedLine   = regexp.MustCompile(`<[A-Z][A-Z ]+>`)
)

// talk has one session, until it ends, fails or does not answer for too long.
func (s *Session) talk(ctx context.Context, into *ledger.Ledger) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	input, typed := io.Pipe()
	defer func() { _ = typed.Close() }()
	lines := make(chan int64, inFlight)
	heard := make(chan struct{}, 1)
	output := &listener{heard: func(text []byte) {
		for _, match := range acknowledged.FindAllSubmatch(text, -1) {
			if row, err := strconv.ParseInt(string(match[1]), 10, 64); err == nil {
				s.answered(row, into)
			}
		}
		if failedLine.Match(text) {
			cancel() // The transaction is open: the end of the session takes it back.
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Shell.Attach(ctx, session, input, output) // Why it ended does not matter: the next one is tried at once.
		_ = input.Close()
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case row := <-lines:
				if _, err := io.WriteString(typed, s.line(row)); err != nil {
					return
				}
			}
		}
	}()
	select {
	case <-heard: // The prompt.
		s.open(lines)
	case <-ended:
		return
	case <-ctx.Done():
		return
	case <-time.After(s.Timeout + connecting):
		return
	}
	s.attend(ctx, ended)
	cancel()
	s.closed(into)
}

// connecting is what opening a session may take beyond an answer: a handshake through the API server and a program's start.
const connecting = 2 * time.Second

// attend returns when the session has ended or the oldest row waits for too long.
func (s *Session) attend(ctx context.Context, ended <-chan struct{}) {
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-ticks.C:
			if s.oldest() > s.Timeout {
				return
			}
		}
	}
}

func (s *Session) open(lines chan int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines, s.outstanding = lines, map[int64]time.Time{}
}

func (s *Session) oldest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var age time.Duration
	for _, sent := range s.outstanding {
		age = max(age, time.Since(sent))
	}
	return age
}

func (s *Session) answered(row int64, into *ledger.Ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent, waits := s.outstanding[row]
	if !waits {
		return
	}
	delete(s.outstanding, row)
	into.Add(ledger.Write{Row: row, Outcome: ledger.Acknowledged, Sent: sent, Done: time.Now()})
}

// closed makes unknown what has no answer.
func (s *Session) closed(into *ledger.Ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for row, sent := range s.outstanding {
		into.Add(ledger.Write{Row: row, Outcome: ledger.Unknown, Sent: sent, Done: time.Now()})
	}
	s.lines, s.outstanding = nil, nil
}

// ReadBack implements Writer. A session reads all rows of the run.
func (s *Session) ReadBack(ctx context.Context, _ []int64) ([]ledger.Row, error) {
	text, err := s.ask(ctx, fmt.Sprintf("zwrite %s(%q)\nwrite \"read=\"_\"all\",!\nhalt\n", Global, s.Options.Run), "read=all")
	if err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	return parseRows(text, s.Options.Run), nil
}

// Remove removes the rows of a run.
func Remove(ctx context.Context, shell Shell, run string) error {
	s := &Session{Options: Options{Run: run}, Shell: shell}
	if _, err := s.ask(ctx, fmt.Sprintf("kill %s(%q)\nwrite \"rows=\"_\"gone\",!\nhalt\n", Global, run), "rows=gone"); err != nil {
		return fmt.Errorf("remove the rows of run %s: %w", run, err)
	}
	return nil
}

// ask types lines and wants a word at the end, for a minute: the session may be cut off like any other.
func (s *Session) ask(ctx context.Context, lines, word string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var mu sync.Mutex
		var said bytes.Buffer
		err := s.Shell.Attach(ctx, session, bytes.NewReader([]byte(lines)), &listener{heard: func(text []byte) {
			mu.Lock()
			defer mu.Unlock()
			said.Write(text)
		}})
		mu.Lock()
		text := said.String()
		mu.Unlock()
		if bytes.Contains([]byte(text), []byte(word)) {
			return text, nil
		}
		if err == nil {
			err = fmt.Errorf("the session said %q", text)
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// listener hears whole lines where it can: a number that is cut in two would be another one. The prompt has no end of line.
type listener struct {
	heard func(text []byte)
	rest  []byte
}

// Write implements io.Writer.
func (l *listener) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	if end == 0 && !bytes.HasSuffix(l.rest, []byte(">")) {
		return len(p), nil
	}
	if bytes.HasSuffix(l.rest, []byte(">")) {
		end = len(l.rest)
	}
	l.heard(bytes.Clone(l.rest[:end]))
	l.rest = append([]byte(nil), l.rest[end:]...)
	return len(p), nil
}
