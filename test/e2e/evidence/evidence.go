// Package evidence keeps what a failed test has at hand, such as a stack's state or a sandbox's logs, and says at the end of
// the failure where. A test that passes leaves nothing.
package evidence

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Store is a directory with a directory for each failed test.
type Store struct {
	dir   string
	mutex sync.Mutex
	tests map[testing.TB]*Test
}

// NewStore returns the store in a directory, which need not exist.
func NewStore(dir string) *Store {
	return &Store{dir: dir, tests: map[testing.TB]*Test{}}
}

// Of returns what is kept of a test. Its first call removes what an earlier run of the test left, and registers the clean-up
// that says where the evidence is: what runs last was registered first, so call it before other clean-ups are.
func (s *Store) Of(tb testing.TB) *Test {
	tb.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.tests[tb]; known != nil {
		return known
	}
	one := &Test{t: tb, dir: filepath.Join(s.dir, filepath.FromSlash(tb.Name()))}
	s.tests[tb] = one
	if err := os.RemoveAll(one.dir); err != nil {
		tb.Fatalf("remove what an earlier run left: %v", err)
	}
	tb.Cleanup(one.report)
	return one
}

// Test is what is kept of one test.
type Test struct {
	t       testing.TB
	dir     string
	sources []*source
}

// source takes one kind of evidence into a directory of its own.
type source struct {
	name  string
	take  func(dir string) error
	taken bool
}

// Add registers evidence under a name. It is taken by Take, or else by a clean-up, and so before what was registered earlier
// is cleaned up: add it behind the directory or the cluster that it comes from.
func (e *Test) Add(name string, take func(dir string) error) {
	base := name
	for number := 2; e.Has(name); number++ {
		name = fmt.Sprintf("%s-%d", base, number)
	}
	added := &source{name: name, take: take}
	e.sources = append(e.sources, added)
	e.t.Cleanup(func() { e.from(added) })
}

// Has reports whether evidence of this name was added.
func (e *Test) Has(name string) bool {
	for _, one := range e.sources {
		if one.name == name {
			return true
		}
	}
	return false
}

// Take takes all evidence if the test has failed. A test calls it before it destroys what it has made.
func (e *Test) Take() {
	e.t.Helper()
	for _, one := range e.sources {
		e.from(one)
	}
}

func (e *Test) from(one *source) {
	e.t.Helper()
	if one.taken || !e.t.Failed() {
		return
	}
	one.taken = true
	dir := filepath.Join(e.dir, one.name)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = one.take(dir)
	}
	if err != nil {
		e.t.Logf("not all of %s was kept: %v", one.name, err)
	}
}

func (e *Test) report() {
	e.t.Helper()
	if e.t.Failed() && len(e.sources) > 0 {
		e.t.Logf("kept for a look: %s", e.dir)
	}
}

// Write writes a file of evidence.
func Write(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// Copy copies the files that match a pattern.
func Copy(dir, pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("keep %s: %w", pattern, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("keep %s: %w", pattern, fs.ErrNotExist)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("keep %s: %w", file, err)
		}
		if err := Write(dir, filepath.Base(file), content); err != nil {
			return err
		}
	}
	return nil
}
