package backup

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// script freezes and thaws. It comes with the agent and not as a file in the database's pod: another volume there would restart the
// database, and the meaning of its exit codes is part of this package.
//
//go:embed freeze.sh
var script string

// Shell runs commands in the database's container.
type Shell interface {
	// Exec runs a command in a pod and returns what it printed and its exit code. An error says that the code is not known: the command
	// may have run, or run still, unless the error wraps ErrNotStarted.
	Exec(ctx context.Context, pod string, command []string) (output string, code int, err error)
}

// ErrNotStarted is that a command was not started and will not be.
var ErrNotStarted = errors.New("not started")

// answer is an exit code of the script, answerNone or answerNever.
type answer int

const (
	// answerNever is that the script was not started.
	answerNever answer = -1
	// answerNone is that there is no exit code, or one that is not the script's.
	answerNone answer = iota
	// answerSilent is that IRIS does not say whether it is frozen.
	answerSilent answer = 2
	// answerFailed is that the freeze failed and nothing is frozen.
	answerFailed answer = 3
	// answerOthers is that it is frozen, and not by this run.
	answerOthers answer = 4
	// answerDone is that it is frozen; of a thaw, that it was until now and no longer is.
	answerDone answer = 5
	// answerStill is that it is frozen still.
	answerStill answer = 6
	// answerLapsed is that it was thawed before.
	answerLapsed answer = 7
	// answerFreezing is that the freeze may still come into force.
	answerFreezing answer = 8
)

const (
	// freezeCall is how long the freeze may take: IRIS gives up by itself after 10 s (ExternalFreeze's TimeOut).
	freezeCall = 40 * time.Second
	// thawCall is how long one attempt to thaw may take.
	thawCall = 20 * time.Second
	// maxOutput is how much of what a command printed is repeated.
	maxOutput = 300
)

// ask runs the script. The text is what to add to a message: what was printed, or why there is no answer.
func ask(ctx context.Context, shell Shell, within time.Duration, pod string, arguments ...string) (answer, string) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	output, code, err := shell.Exec(ctx, pod, append([]string{"/bin/sh", "-c", Program(script), "ha-iris"}, arguments...))
	if errors.Is(err, ErrNotStarted) {
		return answerNever, err.Error()
	}
	if err != nil {
		return answerNone, err.Error()
	}
	said := strings.Join(strings.Fields(output), " ")
	if len(said) > maxOutput {
		said = strings.ToValidUTF8(said[:maxOutput], "") + " ..."
	}
	switch got := answer(code); got {
	case answerSilent, answerFailed, answerOthers, answerDone, answerStill, answerLapsed, answerFreezing:
		return got, said
	default:
		return answerNone, fmt.Sprintf("exit code %d: %s", code, said)
	}
}

// Program is a script without its comments: it is part of a URL, and of audit logs.
func Program(script string) string {
	var code strings.Builder
	for line := range strings.Lines(script) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			code.WriteString(line)
		}
	}
	return code.String()
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
