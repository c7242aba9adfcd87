package irisstandin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// The commands talk to irisdb over a socket in the installation, where IRIS has shared memory. Only the instance's own
// user, and root, may open it: that is the operating system authentication (facts 2.1).

type request struct {
	Verb      string `json:"verb"`
	Path      string `json:"path,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Code      string `json:"code,omitempty"`
	Seconds   int    `json:"seconds,omitempty"`
	Text      string `json:"text,omitempty"`
	Emergency bool   `json:"emergency,omitempty"`
}

// answer is one of several lines; the last one has an exit code.
type answer struct {
	Out    string `json:"out,omitempty"`
	Status string `json:"status,omitempty"`
	Health string `json:"health,omitempty"`
	Error  string `json:"error,omitempty"`
	Exit   *int   `json:"exit,omitempty"`
}

func (i *instance) openControl() error {
	path := i.settings.socketPath()
	_ = os.Remove(path) // The guard is ours, so a socket that is left is a dead one's.
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("protect the control socket: %w", err)
	}
	i.listeners = append(i.listeners, listener)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go i.serve(conn)
		}
	}()
	return nil
}

func (i *instance) closeListeners() {
	for _, listener := range i.listeners {
		_ = listener.Close()
	}
}

func (i *instance) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines, answers := bufio.NewReader(conn), json.NewEncoder(conn)
	first, err := lines.ReadBytes('\n')
	var asked request
	if err != nil || json.Unmarshal(first, &asked) != nil {
		return
	}
	exit := 0
	var failed error
	isOpen := i.at() == admitting
	switch verb := asked.Verb; {
	case verb == "status":
		_ = answers.Encode(answer{Status: i.status(), Health: i.health()})
	case verb == "stop":
		i.stop()
	case verb == "session":
		exit = i.session(asked, lines, func(out string) { _ = answers.Encode(answer{Out: out}) })
	case !isOpen:
		failed = errors.New("the instance does not admit logins")
	default:
		failed = i.serveOpen(asked)
	}
	last := answer{Exit: &exit}
	if failed != nil {
		exit, last.Error = 1, failed.Error()
	}
	_ = answers.Encode(last)
}

func (i *instance) serveOpen(asked request) error {
	switch asked.Verb {
	case "merge":
		return i.merge(asked.Path)
	case "password":
		return i.users.setFromFile(asked.Text)
	case "freeze":
		return i.store.freeze(i.freezeLimit(asked.Seconds), true)
	case "thaw":
		i.store.thaw()
		return nil
	default:
		return fmt.Errorf("unknown request %q", asked.Verb)
	}
}

func (i *instance) freezeLimit(seconds int) time.Duration {
	if seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	return i.settings.FreezeLimit
}

// signOnInhibited is what a session says and returns too early (facts 2.9).
const (
	signOnInhibited     = "Sign-on inhibited: Startup or Installation in progress\n"
	signOnInhibitedCode = 239
)

// session runs lines until halt or the end of the input, which returns 0 whatever the lines did (facts 2.9).
func (i *instance) session(asked request, lines *bufio.Reader, say func(string)) int {
	if i.at() != admitting {
		say(signOnInhibited)
		return signOnInhibitedCode
	}
	if !asked.Emergency {
		i.store.admit()
	}
	if !i.licenses.take() { // A session uses a unit (facts 2.9).
		say("<LICENSE LIMIT EXCEEDED>\n")
		return 1
	}
	defer i.licenses.give()
	namespace := asked.Namespace
	if namespace == "" {
		namespace = "USER"
	}
	p, err := i.newProcess(namespace)
	if err != nil {
		say(err.Error() + "\n")
		return 1
	}
	flush := func() {
		say(p.out.String())
		p.out.Reset()
	}
	code, err := p.talk(asked, lines, flush)
	err = errors.Join(err, p.end())
	p.newLine()
	if err != nil && !errors.Is(err, errClosing) {
		p.write(err.Error() + "\n")
	}
	flush()
	return code
}

func (p *process) talk(asked request, lines *bufio.Reader, flush func()) (int, error) {
	var ended *halted
	if asked.Code != "" {
		code := asked.Code
		if strings.HasPrefix(strings.ToLower(code), "##class(") {
			code = "do " + code
		}
		err := p.run(code)
		if errors.As(err, &ended) {
			return ended.code, nil
		}
		return 0, err
	}
	p.write(fmt.Sprintf("\nNode: %s, Instance: %s\n", p.in.host, p.in.settings.Instance))
	for {
		p.newLine()
		p.write("\n" + p.namespace + ">")
		flush()
		line, err := lines.ReadString('\n')
		if line == "" && err != nil {
			return 0, nil //nolint:nilerr // The end of the input is a halt.
		}
		p.atStart = true // The terminal's echo ended the line.
		err = p.run(line)
		if errors.As(err, &ended) {
			return ended.code, nil
		}
		if err != nil {
			return 1, err
		}
	}
}

// ask sends a request to a running instance.
func (s Settings) ask(ctx context.Context, asked request, each func(answer)) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", s.socketPath())
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(conn).Encode(asked); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if each == nil {
		return conn, nil
	}
	defer func() { _ = conn.Close() }()
	return nil, receive(conn, each)
}

func receive(conn net.Conn, each func(answer)) error {
	answers := json.NewDecoder(conn)
	for {
		var got answer
		if err := answers.Decode(&got); err != nil {
			return fmt.Errorf("the instance does not answer: %w", err)
		}
		each(got)
		if got.Exit != nil {
			return nil
		}
	}
}

// request asks for something that answers with an error or none.
func (s Settings) request(ctx context.Context, asked request) error {
	var failed string
	_, err := s.ask(ctx, asked, func(got answer) { failed = got.Error })
	if err == nil && failed != "" {
		err = errors.New(failed)
	}
	return err
}
