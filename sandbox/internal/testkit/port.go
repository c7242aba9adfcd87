package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports for tests lie below those of the sandbox's clusters (20000) and those that Linux (32768) and macOS (49152) give to
// outgoing connections: one of these may take a port between a test's look and its server's start.
const (
	firstPort = 10240
	ports     = 9000
)

// Port is a TCP port on 127.0.0.1 for a server that a test starts. Until the test ends no other call gets it, in this process
// or another: the UDP port of the same number is held as the mark. It fails the test if there is none.
func Port(tb testing.TB) int {
	tb.Helper()
	for range 10 * ports {
		port := firstPort + rand.IntN(ports)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		mark, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			_ = mark.Close()
			continue
		}
		_ = listener.Close()
		tb.Cleanup(func() { _ = mark.Close() })
		return port
	}
	tb.Fatalf("no free port from %d to %d", firstPort, firstPort+ports-1)
	return 0
}
