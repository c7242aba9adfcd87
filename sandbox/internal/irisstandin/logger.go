package irisstandin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logger is iris-main's log: on standard output, which is the container's log, and in the home directory (facts 2.1,
// 2.2).
type logger struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *logger) info(format string, args ...any) { l.write("INFO", format, args...) }
func (l *logger) warn(format string, args ...any) { l.write("WARNING", format, args...) }
func (l *logger) fail(format string, args ...any) { l.write("ERROR", format, args...) }

func (l *logger) write(level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.out, "[%s] %s\n", level, fmt.Sprintf(format, args...))
}

// messages is messages.log in mgr/: date, process, severity and text. Severity 2 raises the instance's health (facts
// 2.6).
type messages struct {
	mu   sync.Mutex
	path string
	// alerts are the lines of severity 2 since they were last asked for (facts 4: reading consumes them).
	alerts []alert
}

type alert struct {
	Time     string `json:"time"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

func (m *messages) add(severity int, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, text := time.Now(), fmt.Sprintf(format, args...)
	if severity >= 2 {
		m.alerts = append(m.alerts, alert{now.UTC().Format(time.RFC3339), fmt.Sprint(severity), text})
	}
	file, err := os.OpenFile(m.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o664)
	if err != nil {
		return // A full or dead disk must not stop what is being reported.
	}
	_, err = fmt.Fprintf(file, "%s:%03d (%d) %d [Utility.Event] %s\n", now.Format("01/02/06-15:04:05"),
		now.Nanosecond()/int(time.Millisecond), os.Getpid(), severity, text)
	_ = errors.Join(err, file.Close())
}

func (m *messages) consume() []alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.alerts
	m.alerts = nil
	return taken
}
