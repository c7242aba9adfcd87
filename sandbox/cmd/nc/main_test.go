package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// serve answers one line with it, and returns host and port.
func serve(t *testing.T) (host, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(connection).ReadString('\n')
			_, _ = fmt.Fprint(connection, "got ", line)
			_ = connection.Close()
		}
	}()
	host, port, _ = net.SplitHostPort(listener.Addr().String())
	return host, port
}

func TestNC_LooksAndTalks(t *testing.T) {
	t.Parallel()
	host, port := serve(t)
	var out strings.Builder
	if err := run([]string{"-z", "-w", "3", host, port}, strings.NewReader("x\n"), &out); err != nil || out.Len() > 0 {
		t.Errorf("looking: %v, %q", err, &out)
	}
	if err := run([]string{"-w", "3", host, port}, strings.NewReader("row\n"), &out); err != nil || out.String() != "got row\n" {
		t.Errorf("talking: %v, %q", err, &out)
	}
}

func TestNC_FailsWhereNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	if err := run([]string{"-z", host, port}, nil, nil); err == nil {
		t.Error("the port is open")
	}
	if err := run([]string{host}, nil, nil); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("without a port: %v", err)
	}
}
