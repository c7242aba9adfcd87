// Package testkit is what tests of several packages share.
package testkit

import (
	"bytes"
	"sync"
)

// Buffer takes what a process writes while the test reads it. The zero value is ready.
type Buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
