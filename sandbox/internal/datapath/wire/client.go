package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ErrSilent is why a connection ended whose other side did not answer in time.
var ErrSilent = errors.New("no answer within the engine's replica timeout")

// ErrRefused is an answer that says no; the connection is fine.
var ErrRefused = errors.New("refused")

// lookEvery is how often the age of the oldest request is looked at. With it a timeout of 8 s ends after 8 to 9 s, as
// measured of the original (8.8 to 9.1 s under steady writes, longhorn-real.md).
const lookEvery = time.Second

// Client is an engine's connection to one replica. Any number of requests can be under way.
type Client struct {
	conn    net.Conn
	timeout atomic.Int64
	writing sync.Mutex

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*call
	failure error
	ended   chan struct{}
}

type call struct {
	started time.Time // zero: may take as long as it takes
	done    chan struct{}
	data    []byte
	err     error
}

// Dial connects to a replica. The timeout counts for each request, and for the connection itself.
func Dial(ctx context.Context, address string, timeout time.Duration) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to replica: %w", err)
	}
	c := &Client{conn: conn, pending: map[uint64]*call{}, ended: make(chan struct{})}
	c.SetTimeout(timeout)
	go c.receive()
	go c.watch()
	return c, nil
}

// SetTimeout changes how long an answer may take.
func (c *Client) SetTimeout(timeout time.Duration) { c.timeout.Store(int64(timeout)) }

// Close ends the connection; requests under way fail.
func (c *Client) Close() { c.fail(net.ErrClosed) }

// Do sends a request and waits for its answer, at most for the timeout. Then the whole connection has failed.
func (c *Client) Do(r Request) ([]byte, error) { return c.do(r, time.Now()) }

// DoLong is Do for what takes as long as it takes: copies of whole files.
func (c *Client) DoLong(r Request) ([]byte, error) { return c.do(r, time.Time{}) }

func (c *Client) do(r Request, started time.Time) ([]byte, error) {
	own := &call{started: started, done: make(chan struct{})}
	c.mu.Lock()
	if c.failure != nil {
		c.mu.Unlock()
		return nil, c.failure
	}
	c.next++
	r.ID = c.next
	c.pending[r.ID] = own
	c.mu.Unlock()
	c.writing.Lock()
	err := WriteRequest(c.conn, &r)
	c.writing.Unlock()
	if err != nil {
		c.fail(err)
	}
	<-own.done
	return own.data, own.err
}

func (c *Client) receive() {
	reader := bufio.NewReaderSize(c.conn, 256<<10)
	for {
		response, err := ReadResponse(reader)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		own := c.pending[response.ID]
		delete(c.pending, response.ID)
		c.mu.Unlock()
		if own == nil {
			continue
		}
		own.data = response.Data
		if response.Error != "" {
			own.err = fmt.Errorf("%w: %s", ErrRefused, response.Error)
		}
		close(own.done)
	}
}

// watch ends the connection when an answer is overdue. Nothing else notices a cut: no packet says so.
func (c *Client) watch() {
	for {
		every := min(lookEvery, time.Duration(c.timeout.Load())/8)
		select {
		case <-c.ended:
			return
		case <-time.After(every):
		}
		if c.overdue() {
			c.fail(ErrSilent)
			return
		}
	}
}

func (c *Client) overdue() bool {
	timeout := time.Duration(c.timeout.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, own := range c.pending {
		if !own.started.IsZero() && time.Since(own.started) > timeout {
			return true
		}
	}
	return false
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return
	}
	c.failure = err
	close(c.ended)
	_ = c.conn.Close() // what it would say does not matter any more
	for id, own := range c.pending {
		own.err = err
		close(own.done)
		delete(c.pending, id)
	}
}
