package standin

import (
	"fmt"
	"slices"
	"time"
)

// Op is what the engine asked a cloud for.
type Op string

// The operations that the journal knows. Cascade is a removal that the cloud made by itself, because the resource went
// with the one that held it.
const (
	Create  Op = "create"
	Update  Op = "update"
	Delete  Op = "delete"
	Read    Op = "read"
	Invoke  Op = "invoke"
	Cascade Op = "cascade"
)

// What happens to the machines of node pools. NodeDrained fails when pods were still there when the time was up.
const (
	NodeAdded    Op = "node added"
	NodeCordoned Op = "node cordoned"
	NodeDrained  Op = "node drained"
	NodeDeleted  Op = "node deleted"
	NodeReimaged Op = "node reimaged"
)

// Entry is one operation.
type Entry struct {
	Started, Ended time.Time
	Op             Op
	// Type is the resource's type token, or the function's for Invoke.
	Type string
	// Name is the resource's name in the program; empty for Invoke.
	Name string
	URN  string
	ID   string
	// Node is the machine and Zone where it is, for what happens to machines; Type, Name, URN and ID are its node pool's.
	// Pool is the vendor's name of the pool.
	Node, Zone, Pool string
	// Preview says that the cloud was asked what it would do, and did nothing.
	Preview bool
	// LoadBalancers is what Options.LoadBalancersLeft said when a Delete started; 0 without that option.
	LoadBalancers int
	// Err is why the operation failed; empty when it did not.
	Err string
}

// Before reports whether e was over when the other began.
func (e Entry) Before(other Entry) bool { return !e.Ended.IsZero() && !e.Ended.After(other.Started) }

// Journal is what happened, in the order in which it began.
type Journal []Entry

// Done returns the operations that really happened: no previews and no failures. An empty typ means every type.
func (j Journal) Done(op Op, typ string) Journal {
	return j.filter(func(e Entry) bool {
		return e.Op == op && (typ == "" || e.Type == typ) && !e.Preview && e.Err == ""
	})
}

// Failed returns the operations that failed.
func (j Journal) Failed() Journal {
	return j.filter(func(e Entry) bool { return e.Err != "" })
}

// Names returns the entries' resource names, in order.
func (j Journal) Names() []string {
	names := make([]string, 0, len(j))
	for _, entry := range j {
		names = append(names, entry.Name)
	}
	return names
}

// Ordered returns an error unless every done op on a type was over before any on the next type began. A type without any
// such operation is an error too: what never happened has no place in an order.
func (j Journal) Ordered(op Op, types ...string) error {
	for i, typ := range types {
		done := j.Done(op, typ)
		if len(done) == 0 {
			return fmt.Errorf("no %s of %s in the journal", op, typ)
		}
		if i == 0 {
			continue
		}
		for _, earlier := range j.Done(op, types[i-1]) {
			for _, later := range done {
				if !earlier.Before(later) {
					return fmt.Errorf("%s of %s %q was not over before that of %s %q began",
						op, earlier.Type, earlier.Name, later.Type, later.Name)
				}
			}
		}
	}
	return nil
}

func (j Journal) filter(keep func(Entry) bool) Journal {
	var kept Journal
	for _, entry := range j {
		if keep(entry) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// Journal returns a copy of what happened so far.
func (c *Clouds) Journal() Journal {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := make(Journal, 0, len(c.journal))
	for _, entry := range c.journal {
		copied = append(copied, *entry)
	}
	return copied
}

// ForgetJournal starts the journal anew, so that a test can look at one engine run alone. Operations under way are
// still finished, but no longer seen.
func (c *Clouds) ForgetJournal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.journal = slices.Delete(c.journal, 0, len(c.journal))
}

// begin opens an entry. The hook is asked before the lock is taken: it may take its time with the API server.
func (c *Clouds) begin(entry Entry) *Entry {
	if c.options.LoadBalancersLeft != nil && entry.Op == Delete {
		entry.LoadBalancers = c.options.LoadBalancersLeft()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.Started = time.Now()
	c.journal = append(c.journal, &entry)
	return &entry
}

func (c *Clouds) end(entry *Entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.Ended = time.Now()
	if err != nil {
		entry.Err = err.Error()
	}
}

// OneZoneAtATime returns an error if a machine was taken out of use, by a cordon, a drain or its end, in one zone while
// another zone was not through with that: until the last step of the one zone is over, no other may begin. What happens
// in between, such as waiting for data, is the caller's to see.
func (j Journal) OneZoneAtATime() error {
	zone, left := "", map[string]bool{}
	for _, entry := range j {
		switch entry.Op {
		case NodeCordoned, NodeDrained, NodeDeleted, NodeReimaged:
		case Create, Update, Delete, Read, Invoke, Cascade, NodeAdded:
			continue
		}
		if entry.Zone == zone {
			continue
		}
		if left[entry.Zone] {
			return fmt.Errorf("node %s in zone %s: %s after zone %s had begun", entry.Node, entry.Zone, entry.Op, zone)
		}
		left[zone], zone = true, entry.Zone
	}
	return nil
}
