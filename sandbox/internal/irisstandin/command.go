package irisstandin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Streams are a command's input and output.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run acts as the program's name says: iris-main, iris, irisdb, or the stand-in's own installer.
func Run(program string, arguments []string, streams Streams) int {
	settings, err := FromEnvironment()
	if err != nil {
		_, _ = fmt.Fprintln(streams.Err, err)
		return 1
	}
	switch program {
	case "iris-main":
		return runMain(settings, arguments, streams.Out, streams.Err)
	case "iris":
		return settings.runIris(arguments, streams)
	case "irisdb":
		return runProcess(settings, streams.Err)
	default:
		return install(arguments, streams)
	}
}

func install(arguments []string, streams Streams) int {
	if len(arguments) < 2 || arguments[0] != "install" {
		_, _ = fmt.Fprintln(streams.Err, "usage: iris-standin install DIRECTORY [VERSION [community|licensed]]")
		return 1
	}
	arguments = append(arguments, "", "")
	version, edition := arguments[2], Edition(arguments[3])
	if version == "" {
		version = DefaultVersion
	}
	if edition == "" {
		edition = Community
	}
	if err := Install(arguments[1], version, edition); err != nil {
		_, _ = fmt.Fprintln(streams.Err, err)
		return 1
	}
	return 0
}

const irisUsage = "usage: iris list|qlist [INSTANCE], iris session|start|stop|merge|freeze|thaw INSTANCE ...\n"

// runIris is the command iris. Names of instances are compared without case: the article writes "iris" (facts 0).
func (s Settings) runIris(arguments []string, streams Streams) int {
	if len(arguments) == 0 {
		_, _ = io.WriteString(streams.Err, irisUsage)
		return 1
	}
	verb, rest := arguments[0], arguments[1:]
	if len(rest) > 0 && !strings.EqualFold(rest[0], s.Instance) {
		_, _ = fmt.Fprintf(streams.Out, "Unknown instance '%s'\n", rest[0])
		return 1
	}
	ctx := context.Background()
	if verb == "list" || verb == "qlist" {
		return s.list(ctx, verb, streams.Out)
	}
	if len(rest) == 0 {
		_, _ = io.WriteString(streams.Err, irisUsage)
		return 1
	}
	rest = rest[1:]
	var err error
	switch verb {
	case "session":
		return s.sessionCommand(ctx, rest, streams)
	case "stop":
		err = s.stopCommand(ctx, rest, streams)
	case "start":
		err = s.startCommand(ctx, streams.Out)
	case "merge":
		err = s.mergeCommand(ctx, rest)
	case "freeze":
		err = s.freezeCommand(ctx, rest)
	case "stat":
		err = s.statCommand(ctx, rest)
	case "thaw":
		err = s.request(ctx, request{Verb: "thaw"}) // Ordinary exit codes (facts 6).
	default:
		_, _ = io.WriteString(streams.Err, irisUsage)
		return 1
	}
	if err != nil {
		_, _ = fmt.Fprintln(streams.Out, err)
		return 1
	}
	return 0
}

// isDown says whether an error is that no instance listens.
func isDown(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func (s Settings) stopCommand(ctx context.Context, rest []string, streams Streams) error {
	isQuiet := len(rest) > 0 && strings.EqualFold(rest[0], "quietly") // No prompt (facts 2.3).
	if !isQuiet {
		_, _ = io.WriteString(streams.Out, "Do you want to run shutdown procedures now? Yes => ")
		answer, err := bufio.NewReader(streams.In).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil && answer == "" || strings.HasPrefix(answer, "n") {
			return errors.New("not stopped")
		}
	}
	if err := s.stopInstance(ctx); err != nil {
		if isDown(err) {
			return fmt.Errorf("instance '%s' is not running", s.Instance)
		}
		return err
	}
	_, _ = fmt.Fprintf(streams.Out, "InterSystems IRIS instance '%s' is down\n", s.Instance)
	return nil
}

// stopInstance returns once the instance's guard is free: the process has ended.
func (s Settings) stopInstance(ctx context.Context) error {
	if err := s.request(ctx, request{Verb: "stop"}); err != nil {
		return err
	}
	for {
		file, err := os.Open(s.mgr("ilock"))
		if err != nil {
			return fmt.Errorf("wait for the end: %w", err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		_ = file.Close()
		if err == nil {
			return s.stoppedInOrder()
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s Settings) stoppedInOrder() error {
	last, _, err := s.readState()
	if err == nil && last.Running {
		err = errors.New("the shutdown did not end in order: the next start recovers")
	}
	return err
}

func (s Settings) startCommand(ctx context.Context, out io.Writer) error {
	command, err := s.spawn(ctx, nil)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "InterSystems IRIS instance '%s' is up\n", s.Instance)
	return command.Process.Release()
}

func (s Settings) mergeCommand(ctx context.Context, rest []string) error {
	path := s.MergeFile
	if len(rest) > 0 {
		path = rest[0]
	}
	return s.request(ctx, request{Verb: "merge", Path: path})
}

func (s Settings) freezeCommand(ctx context.Context, rest []string) error {
	seconds := 0
	for _, argument := range rest {
		if text, found := strings.CutPrefix(argument, "timeout="); found {
			parsed, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("%s: no number of seconds", argument)
			}
			seconds = parsed
		}
	}
	return s.request(ctx, request{Verb: "freeze", Seconds: seconds})
}

// statCommand is the emergency thaw, "iris stat INSTANCE -W" (facts 6).
func (s Settings) statCommand(ctx context.Context, rest []string) error {
	if !slices.Contains(rest, "-W") {
		return errors.New("the stand-in plays iris stat with -W only")
	}
	return s.request(ctx, request{Verb: "thaw"})
}

// sessionCommand is "iris session INSTANCE [-B] [-U NAMESPACE] [CODE]". -B is the emergency access, for a thaw when logins
// hang (GCDI, external backup).
func (s Settings) sessionCommand(ctx context.Context, rest []string, streams Streams) int {
	asked := request{Verb: "session"}
	for len(rest) > 0 {
		argument := rest[0]
		rest = rest[1:]
		namespace, isNamespace := strings.CutPrefix(argument, "-U")
		switch {
		case argument == "-B":
			asked.Emergency = true
		case isNamespace && namespace == "" && len(rest) > 0:
			asked.Namespace, rest = rest[0], rest[1:]
		case isNamespace:
			asked.Namespace = namespace
		default:
			asked.Code = argument
		}
	}
	conn, err := s.ask(ctx, asked, nil)
	if err != nil {
		_, _ = fmt.Fprintf(streams.Out, "Instance '%s' is not running\n", s.Instance)
		return 1
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.Copy(conn, streams.In)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	code := 1
	err = receive(conn, func(got answer) {
		_, _ = io.WriteString(streams.Out, got.Out)
		if got.Exit != nil {
			code = *got.Exit
		}
	})
	if err != nil {
		_, _ = fmt.Fprintln(streams.Out, err)
	}
	return code
}
