package irisstandin

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// storeOptions come from the CPF and the settings.
type storeOptions struct {
	wijPath, journalDir string
	cycle               time.Duration
	patience            time.Duration
	freezeOnError       bool  // [Journal] FreezeOnError (facts 3.2).
	synchronous         bool  // [Miscellaneous] SynchCommit (facts 3.2).
	buffers             int   // jrnbufs in bytes: the bound of what is not on disk (facts 3.1, 5.1).
	limit               int64 // Of all data; 0: none.
}

// store keeps globals in memory, writes their changes to the journal, every two seconds, and the databases at each cycle
// of the write daemon.
type store struct {
	opts storeOptions
	log  *messages

	mu      sync.Mutex
	changed *sync.Cond // Whatever somebody may wait for has changed.
	dbs     map[string]*database
	seq     uint64
	tx      uint64
	open    map[uint64][]record // Changes of open transactions.

	buffer   []byte
	pending  []byte // Being written.
	durable  uint64
	failing  time.Time // Since when the journal cannot be written.
	since    time.Time // Since when a flush is under way.
	off      bool      // Journaling is switched off.
	refusing bool      // No more changes: the instance shuts down.
	closing  bool      // The journal daemon is to end.

	frozen      time.Time // Since when the write daemon is suspended (facts 6).
	freezeLimit time.Duration
	writing     sync.Mutex // One cycle of the write daemon at a time.

	journal journal
	kick    chan struct{}
	stopped sync.WaitGroup
}

var errClosing = errors.New("the instance is shutting down")

func newStore(opts storeOptions, log *messages) *store {
	s := &store{
		opts: opts, log: log, dbs: map[string]*database{}, open: map[uint64][]record{},
		journal: journal{dir: opts.journalDir}, kick: make(chan struct{}, 1),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// run starts the journal daemon. Recovery has to be over.
func (s *store) run() error {
	if err := s.journal.switchFile(); err != nil {
		return err
	}
	s.durable = s.seq
	s.stopped.Add(1)
	go s.journalDaemon()
	return nil
}

func (s *store) mount(dir string, writable bool) error {
	db := &database{dir: dir, writable: writable}
	if err := db.load(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbs[dir] = db
	s.seq = max(s.seq, db.seq)
	return nil
}

// objectError is an error of ObjectScript, written as IRIS writes it.
type objectError struct{ code, detail string }

func (e *objectError) Error() string { return strings.TrimSpace("<" + e.code + "> " + e.detail) }

// update changes nodes in one step. Nothing of it is durable yet.
func (s *store) update(dir string, tx uint64, change func(db *database) []edit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.heldUp() && !s.refusing {
		s.changed.Wait()
	}
	if s.refusing {
		return errClosing
	}
	db := s.dbs[dir]
	switch {
	case db == nil:
		return &objectError{"DIRECTORY", ""}
	case !db.writable:
		return &objectError{"PROTECT", ""} // Facts 2.6.
	}
	for _, e := range change(db) {
		if e.value != nil && s.opts.limit > 0 && s.size()+int64(len(e.key)+len(*e.value)) > s.opts.limit {
			return &objectError{"FILEFULL", ""} // Community's 10 GB (facts 1.9); which error it gives is not known.
		}
		kind := kindSet
		if e.value == nil {
			kind = kindKill
		}
		r := record{Kind: kind, Tx: tx, DB: dir, Key: []byte(e.key), Value: e.value, Old: db.put(e.key, e.value)}
		if err := s.append(r); err != nil {
			return err
		}
		if tx != 0 {
			s.open[tx] = append(s.open[tx], r)
		}
	}
	return nil
}

// edit is a new value of a node, or none.
type edit struct {
	key   string
	value *string
}

func (s *store) size() int64 {
	var sum int64
	for _, db := range s.dbs {
		sum += db.size
	}
	return sum
}

// append puts a record into the journal's buffer. The caller holds the mutex.
func (s *store) append(r record) error {
	s.seq++
	r.Seq = s.seq
	if s.off {
		return nil
	}
	line, err := encodeRecord(r)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	s.buffer = append(s.buffer, line...)
	return nil
}

// heldUp says whether updates have to wait: the freeze has lasted too long (facts 6), the journal cannot be written and
// FreezeOnError is set (3.2), or its buffers are full (5.1). The caller holds the mutex.
func (s *store) heldUp() bool {
	return s.overdue() || s.opts.freezeOnError && !s.failing.IsZero() ||
		len(s.buffer)+len(s.pending) >= s.opts.buffers
}

func (s *store) read(dir string, look func(db *database)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	db := s.dbs[dir]
	if db == nil {
		return &objectError{"DIRECTORY", ""}
	}
	look(db)
	return nil
}

func (s *store) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tx = max(s.tx, s.seq) + 1 // Larger than any of a run before.
	s.open[s.tx] = nil
	return s.tx
}

// commit asks for a flush and, in synchronous mode only, waits for it (facts 5.1).
func (s *store) commit(tx uint64, synchronous bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusing {
		return errClosing // close takes it back, or has done so.
	}
	delete(s.open, tx)
	if err := s.append(record{Kind: kindCommit, Tx: tx}); err != nil {
		return err
	}
	s.requestFlush()
	seq := s.seq
	for synchronous && s.durable < seq && !s.off {
		if s.closing {
			return errClosing
		}
		s.changed.Wait()
	}
	return nil
}

func (s *store) rollback(tx uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, isOpen := s.open[tx]
	if !isOpen {
		return nil // close was here before.
	}
	delete(s.open, tx)
	for i := len(changes) - 1; i >= 0; i-- {
		if err := s.undo(changes[i]); err != nil {
			return err
		}
	}
	return s.append(record{Kind: kindRollback, Tx: tx})
}

// undo puts back what a change replaced, as a change of its own outside of the transaction.
func (s *store) undo(r record) error {
	db := s.dbs[r.DB]
	if db == nil {
		return nil
	}
	back := record{Kind: kindSet, DB: r.DB, Key: r.Key, Value: r.Old}
	if r.Old == nil {
		back.Kind = kindKill
	}
	back.Old = db.put(string(r.Key), r.Old)
	return s.append(back)
}

func (s *store) requestFlush() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *store) directories() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	dirs := make([]string, 0, len(s.dbs))
	for dir := range s.dbs {
		dirs = append(dirs, dir)
	}
	return dirs
}

func databaseDir(root, value string) string {
	dir, _, _ := strings.Cut(value, ",")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root, dir)
	}
	return filepath.Clean(dir)
}

// configure takes what may change while the instance runs.
func (s *store) configure(synchronous, freezeOnError bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.synchronous, s.opts.freezeOnError = synchronous, freezeOnError
	s.changed.Broadcast()
}

func (s *store) synchronous() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.synchronous
}
