package kube

import (
	"bytes"
	"sync"
)

// maxPrinted is how much of what a command prints is kept.
const maxPrinted = 64 << 10

// limited keeps the beginning of what is written to it, from several goroutines.
type limited struct {
	mutex sync.Mutex
	kept  bytes.Buffer
}

// Write implements io.Writer, and never fails.
func (l *limited) Write(content []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if room := maxPrinted - l.kept.Len(); room > 0 {
		l.kept.Write(content[:min(room, len(content))])
	}
	return len(content), nil
}

func (l *limited) text() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.kept.String()
}
