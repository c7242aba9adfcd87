package replica

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// direct opens a file past the page cache, as Longhorn's replicas do (sparse-tools, DirectFileIoProcessor).
func direct(b *testing.B, name string) *os.File {
	b.Helper()
	file, err := os.OpenFile(filepath.Join(b.TempDir(), name), os.O_CREATE|os.O_RDWR|syscall.O_DIRECT, 0o600)
	if err != nil {
		b.Skipf("no direct I/O here: %v", err)
	}
	b.Cleanup(func() { _ = file.Close() })
	return file
}

// page is a block at an address that direct I/O takes.
func page() []byte {
	const size = 4096
	buffer := make([]byte, 2*size)
	at := size - int(uintptr(unsafe.Pointer(&buffer[0]))%size)
	return buffer[at : at+size : at+size]
}

// BenchmarkRevisionCounter is what docs/architecture.md says of Longhorn's class parameter disableRevisionCounter: blocks of 4 KiB that
// a replica's disk takes, with and without the counter. One goroutine writes the counter of all writers, beside their data, and each
// writer waits for it (longhorn-engine, pkg/replica/replica.go WriteAt and revision_counter.go).
func BenchmarkRevisionCounter(b *testing.B) {
	for _, counted := range []bool{false, true} {
		for _, depth := range []int{1, 16} {
			b.Run(fmt.Sprintf("counter=%t/writers=%d", counted, depth), func(b *testing.B) { writeCounted(b, counted, depth) })
		}
	}
}

func writeCounted(b *testing.B, counted bool, depth int) {
	b.Helper()
	const blocks = 1 << 14
	data, counter := direct(b, "volume-head.img"), direct(b, "revision.counter")
	if err := data.Truncate(blocks * 4096); err != nil {
		b.Fatal(err)
	}
	wanted, written := make(chan bool, 1024), make(chan error)
	go func() {
		block := page()
		for range wanted {
			_, err := counter.WriteAt(block, 0)
			written <- err
		}
	}()
	var next atomic.Int64
	var writers sync.WaitGroup
	b.ResetTimer()
	for range depth {
		writers.Go(func() {
			block := page()
			for at := next.Add(1); at <= int64(b.N); at = next.Add(1) {
				if counted {
					wanted <- true
				}
				_, err := data.WriteAt(block, at*7919%blocks*4096)
				if counted && err == nil {
					err = <-written
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	b.StopTimer()
	close(wanted)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
