package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/testkit"
)

// A pod is played in a PID namespace of its own: this test binary is its first process, as the kubelet's pause is, and begins
// itself again as what the variable says. The test stays outside, where it is not stopped with the database.
const (
	roleVariable = "HA_IRIS_TEST_ROLE"
	rolePause    = "pause"    // Makes the namespace's /proc, begins what it is told, and reaps.
	roleAgent    = "agent"    // The program itself.
	roleDatabase = "database" // Writes the time into the file behind it each 5 ms, as an acknowledged write.
)

func TestMain(m *testing.M) {
	role, name, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case rolePause:
		os.Exit(pausing())
	case roleAgent:
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	case roleDatabase:
		os.Exit(testkit.Beat(name))
	default:
		os.Exit(m.Run())
	}
}

// order is what the pod's first process is told: to begin a process, or to signal one.
type order struct {
	Name      string
	Arguments []string
	Role      string
	Signal    syscall.Signal
}

// pausing is the pod's first process. It takes orders and says "ready", and the name and code of each process that ends.
func pausing() int {
	_ = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") // The next line tells.
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount /proc:", err)
		return 1
	}
	if os.Unsetenv(roleVariable) != nil {
		return 1
	}
	var mutex sync.Mutex
	pids := map[string]int{}
	go func() {
		for orders := json.NewDecoder(os.Stdin); ; {
			var one order
			if orders.Decode(&one) != nil {
				os.Exit(0) // The test is over, and with this process the pod.
			}
			mutex.Lock()
			if one.Signal != 0 {
				_ = syscall.Kill(pids[one.Name], one.Signal)
			} else if pid, err := syscall.ForkExec(one.Arguments[0], one.Arguments, &syscall.ProcAttr{
				Env: append(os.Environ(), roleVariable+"="+one.Role), Files: []uintptr{0, 2, 2},
			}); err == nil {
				pids[one.Name] = pid
			}
			mutex.Unlock()
		}
	}()
	_, _ = fmt.Fprintln(os.Stdout, "ready") // Without its reader the pod is over.
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // There is none yet.
			continue
		}
		mutex.Lock()
		for name, one := range pids {
			if one == pid {
				_, _ = fmt.Fprintln(os.Stdout, name, status.ExitStatus())
			}
		}
		mutex.Unlock()
	}
}

// pod is a database's pod and the API server that it asks.
type pod struct {
	t         *testing.T
	clock     boottime.Clock
	self      string
	directory string
	server    *httptest.Server
	mutex     sync.Mutex
	answer    string // Nothing is silence.
	orders    *json.Encoder
	ends      chan string // "NAME CODE" of each process that the pod's first one has begun, when it ends.
}

const (
	isWanted   = `{"kind":"Pod","metadata":{"name":"iris-0","uid":"u1"}}`
	isUnwanted = `{"kind":"Pod","metadata":{"name":"iris-0","uid":"u2"}}`
	// The times are shorter than the real ones. Their sums: paused within 1.5 s, ended within 4.5 s.
	times = "--interval=200ms --timeout=200ms --pause-after=700ms --end-after=3700ms --margin=400ms --stall=1600ms " +
		"--earliest-take-over=5s"
	worstPause = 1500 * time.Millisecond
	worstEnd   = 4500 * time.Millisecond
)

func newPod(t *testing.T) *pod {
	t.Helper()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	clock, err := boottime.New()
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, clock: clock, answer: isWanted, ends: make(chan string, 100)}
	if p.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	if p.directory, err = os.MkdirTemp("", "pod"); err != nil { // Short enough for a socket.
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.directory) })
	if err := os.WriteFile(filepath.Join(p.directory, "token"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.server = httptest.NewServer(http.HandlerFunc(p.apiServer))
	t.Cleanup(p.server.Close)
	p.begin()
	return p
}

func (p *pod) apiServer(response http.ResponseWriter, request *http.Request) {
	p.mutex.Lock()
	answer := p.answer
	p.mutex.Unlock()
	if answer == "" {
		<-request.Context().Done()
		return
	}
	_, _ = response.Write([]byte(answer))
}

// says changes the API server's answer.
func (p *pod) says(answer string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.answer = answer
}

// begin makes the pod's namespaces. Without root that takes a user namespace, which not every machine allows.
func (p *pod) begin() {
	p.t.Helper()
	command := exec.Command(p.self)
	command.Env = append(os.Environ(), roleVariable+"="+rolePause)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	log := &bytes.Buffer{}
	command.Stderr = log
	orders, err := command.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	ends, err := command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		p.t.Skipf("no namespaces may be made here: %v", err)
	}
	p.t.Cleanup(func() {
		_ = orders.Close()
		_ = command.Process.Kill() // And with it the pod.
		_ = command.Wait()
		p.t.Logf("%s", log)
	})
	p.orders = json.NewEncoder(orders)
	lines := bufio.NewScanner(ends)
	if !lines.Scan() {
		p.t.Skip("no namespaces may be made here")
	}
	go func() {
		for lines.Scan() {
			p.ends <- lines.Text()
		}
	}()
}

func (p *pod) order(one order) {
	p.t.Helper()
	if err := p.orders.Encode(one); err != nil {
		p.t.Fatal(err)
	}
}

// startFence begins the sidecar.
func (p *pod) startFence() {
	p.t.Helper()
	arguments := strings.Fields(p.self + " fence --namespace=db --pod=iris-0 --uid=u1 --node=n1 --listen=127.0.0.1:0 " +
		"--without-peers=fence " + times)
	token := filepath.Join(p.directory, "token")
	arguments = append(arguments, "--dir="+p.directory, "--api-server="+p.server.URL, "--token-file="+token, "--ca-file="+token)
	p.order(order{Name: "fence", Role: roleAgent, Arguments: arguments})
	p.eventually("the sidecar has started", func() bool { // The kubelet's startup probe.
		_, err := os.Stat(filepath.Join(p.directory, "fence.sock"))
		return err == nil
	})
}

// startDatabase begins the database's container as the vendor's entry point does: first the question, with the copy of the program
// from the shared directory, then the database, as two processes.
func (p *pod) startDatabase() {
	p.t.Helper()
	script := fmt.Sprintf("%[1]s/agent admit --dir %[1]s || exit 1\n"+
		"export %[2]s='%[3]s %[1]s/beats'; %[4]s & %[4]s & wait", p.directory, roleVariable, roleDatabase, p.self)
	p.order(order{Name: "database", Role: roleAgent, Arguments: []string{"/bin/sh", "-c", script}})
}

// ended waits for the end of a process, and returns its code.
func (p *pod) ended(name string) string {
	p.t.Helper()
	for {
		select {
		case end := <-p.ends:
			if code, its := strings.CutPrefix(end, name+" "); its {
				return code
			}
			p.t.Errorf("waits for %s, but %q ended", name, end)
		case <-time.After(30 * time.Second):
			p.t.Fatalf("%s does not end", name)
		}
	}
}

// last is the last beat.
func (p *pod) last() time.Duration {
	p.t.Helper()
	file, err := os.Open(filepath.Join(p.directory, "beats"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	last := time.Duration(0)
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		number, err := strconv.ParseInt(scanner.Text(), 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		last = max(last, time.Duration(number))
	}
	return last
}

// acknowledges waits until the database writes, after now.
func (p *pod) acknowledges(what string) {
	p.t.Helper()
	now := p.clock()
	p.eventually(what, func() bool { return p.last() > now })
}

func (p *pod) eventually(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// silentAfter checks that nothing was acknowledged later than that after the cut.
func (p *pod) silentAfter(what string, cut, most time.Duration) {
	p.t.Helper()
	if late := p.last() - cut; late > most {
		p.t.Errorf("%s: acknowledged %v after the cut, want at most %v", what, late, most)
	}
}
