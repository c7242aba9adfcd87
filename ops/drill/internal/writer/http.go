package writer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ha-iris/ops/drill/internal/ledger"
)

// inFlight bounds the requests that wait for an answer: ten per second for as long as one may take, many times over.
const inFlight = 1000

// HTTP writes with a POST and reads with a GET of the same address.
type HTTP struct {
	Options

	// Address has {run} and {row} in it.
	Address string
	client  *http.Client
	busy    atomic.Int64
}

// StandIn is the address of the sandbox's stand-in of IRIS, which commits each row.
func StandIn(base string) string {
	return strings.TrimSuffix(base, "/") + "/iris-standin/node?transaction=1&ref=" + url.QueryEscape(Global+`("`) + "{run}" +
		url.QueryEscape(`",`) + "{row}" + url.QueryEscape(")")
}

// NewHTTP is a writer to an address. Each request has a connection of its own: one that is kept would lead to a lost node for as
// long as its time-out.
func NewHTTP(options Options, address string) *HTTP {
	return &HTTP{Options: options, Address: address, client: &http.Client{
		Timeout: options.Timeout, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// About implements Writer.
func (h *HTTP) About() string {
	host := h.Address
	if parsed, err := url.Parse(strings.NewReplacer("{run}", "RUN", "{row}", "ROW").Replace(h.Address)); err == nil {
		host = parsed.Scheme + "://" + parsed.Host + parsed.Path
	}
	return fmt.Sprintf("HTTP to %s, %g rows/s", host, h.Rate)
}

// Run implements Writer.
func (h *HTTP) Run(ctx context.Context, into *ledger.Ledger) {
	ticks := time.NewTicker(h.interval())
	defer ticks.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	for row := int64(1); ; row++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		now := time.Now()
		if h.busy.Load() >= inFlight {
			into.Add(ledger.Write{Row: row, Outcome: ledger.Failed, Sent: now, Done: now})
			continue
		}
		h.busy.Add(1)
		sending.Go(func() {
			defer h.busy.Add(-1)
			outcome := h.write(context.WithoutCancel(ctx), row) // What is on its way gets its answer.
			into.Add(ledger.Write{Row: row, Outcome: outcome, Sent: now, Done: time.Now()})
		})
	}
}

func (h *HTTP) address(row int64) string {
	return strings.NewReplacer("{run}", h.Options.Run, "{row}", strconv.FormatInt(row, 10)).Replace(h.Address)
}

// write sends a row. Without a connection it certainly was not done; the server says so with a 4xx; of everything else nobody
// knows.
func (h *HTTP) write(ctx context.Context, row int64) ledger.Outcome {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	status, _, err := h.send(ctx, http.MethodPost, row, content(row))
	switch {
	case err != nil && !connected.Load():
		return ledger.Failed
	case err != nil:
		return ledger.Unknown
	case status >= 200 && status < 300:
		return ledger.Acknowledged
	case status >= 400 && status < 500:
		return ledger.Failed
	default:
		return ledger.Unknown
	}
}

func (h *HTTP) send(ctx context.Context, method string, row int64, body string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, h.address(row), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "text/plain")
	response, err := h.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }() // It is read to its end.
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return response.StatusCode, string(text), err
}

// readers read rows back side by side; a row takes milliseconds.
const readers = 8

// ReadBack implements Writer.
func (h *HTTP) ReadBack(ctx context.Context, numbers []int64) ([]ledger.Row, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan int64)
	var mu sync.Mutex
	var rows []ledger.Row
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for number := range queue {
				row, found, err := h.read(ctx, number)
				if err != nil {
					cancel(err)
					return
				}
				if found {
					mu.Lock()
					rows = append(rows, row)
					mu.Unlock()
				}
			}
		})
	}
feed:
	for _, number := range numbers {
		select {
		case queue <- number:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	reading.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	return rows, nil
}

// patience is how long a row may not be readable: after a failover connections are refused for a moment.
const patience = 60 * time.Second

func (h *HTTP) read(ctx context.Context, number int64) (row ledger.Row, found bool, err error) {
	for began := time.Now(); ; {
		status, body, err := h.send(ctx, http.MethodGet, number, "")
		switch {
		case err == nil && status >= 200 && status < 300:
			return ledger.Row{Number: number, Times: 1, Damaged: strings.TrimSpace(body) != content(number)}, true, nil
		case err == nil && status >= 400 && status < 500:
			return ledger.Row{}, false, nil
		case time.Since(began) > patience && err != nil:
			return ledger.Row{}, false, err
		case time.Since(began) > patience:
			return ledger.Row{}, false, fmt.Errorf("row %d: the answer is %d", number, status)
		}
		select {
		case <-ctx.Done():
			return ledger.Row{}, false, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
