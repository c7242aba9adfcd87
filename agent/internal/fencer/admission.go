package fencer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"ha-iris/agent/internal/fence"
)

// admitPath is where the database's container asks, on the socket.
const admitPath = "/admit"

// reply is the answer to it.
type reply struct {
	// Go says that the database may start.
	Go bool `json:"go"`
	// Final says that asking again is of no use.
	Final bool `json:"final"`
	// Reason is why it may not.
	Reason string `json:"reason,omitempty"`
}

// request is a container that waits for its reply.
type request struct {
	ctx    context.Context
	since  time.Duration
	rounds []fence.Round
	reply  chan reply // With room for one.
}

// admissions serves admitPath. A request waits for rounds that began after it.
func (l *Loop) admissions() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+admitPath, func(response http.ResponseWriter, asked *http.Request) {
		one := &request{ctx: asked.Context(), reply: make(chan reply, 1)}
		select {
		case l.requests <- one:
		case <-asked.Context().Done():
			return
		}
		select {
		case answer := <-one.reply:
			response.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(response).Encode(answer) // Whoever asked asks again.
		case <-asked.Context().Done():
		}
	})
	return mux
}

// admit tells every request that waits about a round, and replies where enough is known.
func (l *Loop) admit(round fence.Round) {
	l.pending = slices.DeleteFunc(l.pending, func(one *request) bool {
		if one.ctx.Err() != nil {
			return true
		}
		if round.Start < one.since {
			return false
		}
		one.rounds = append(one.rounds, round)
		// The API server's word decides at once. Without it there are as many rounds as a pause takes: one answer in them is
		// enough, and the word may still come.
		p := l.config.Parameters
		if round.Pod == fence.WordUnknown && time.Duration(len(one.rounds))*p.Interval < p.PauseAfter {
			return false
		}
		one.reply <- l.decide(one.rounds)
		return true
	})
}

// decide replies to a container that wants to start. A machine that is there belongs to a container that is gone.
func (l *Loop) decide(rounds []fence.Round) reply {
	// A database that was ended, and one that slept long enough for a take-over, need the API server's word.
	doubtful := l.doubtful
	if l.machine != nil {
		memory := l.machine.Memory()
		doubtful = doubtful || memory.State == fence.Ended || memory.Slept
	}
	if err := l.config.Parameters.Admit(fence.Start{Rounds: rounds, EndedBefore: doubtful}); err != nil {
		return reply{Reason: strings.ReplaceAll(err.Error(), "\n", "; "), Final: unwanted(rounds)}
	}
	machine := l.config.Parameters.Begin(rounds)
	if state := machine.Memory().State; state != fence.Running {
		return reply{Reason: "this node has just been cut off"}
	}
	before := l.record()
	before.Admitted, before.Doubtful, before.Machine, before.Processes.Ended = true, false, machine.Memory(), 0
	if err := l.keeper.keep(before); err != nil {
		return reply{Reason: fmt.Errorf("%w: %w", errNoRecord, err).Error()}
	}
	l.machine, l.doubtful, l.judged = machine, false, l.config.Now()
	l.config.Database.Begin()
	l.status.change(string(fence.Running), l.config.Now())
	l.config.Log.Info("the database may start", "rounds", len(rounds), "word", string(rounds[len(rounds)-1].Pod))
	return reply{Go: true}
}

// unwanted says whether the API server's last word was no.
func unwanted(rounds []fence.Round) bool {
	for _, round := range slices.Backward(rounds) {
		if round.Pod != fence.WordUnknown {
			return round.Pod.Final()
		}
	}
	return false
}
