package lab

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// restartPause is what systemd units of kubelets use on clouds' images, shortened: a lab is watched by people.
	restartPause = time.Second
	// socketPatience is how long a service may take until it listens. containerd needs 1 s, on a busy machine several times that.
	socketPatience = time.Minute
	// endPatience is how long the node's processes get to end in order: less than the cluster waits for the node.
	endPatience = 8 * time.Second
)

// Signals by which the cluster talks to a node's first process.
const (
	stopKubelet  = syscall.SIGUSR1
	startKubelet = syscall.SIGUSR2
)

// supervisor keeps a node's services running and reaps whatever else ends on the node.
type supervisor struct {
	services []*running
	signals  chan os.Signal
}

// running is a service with its process.
type running struct {
	Service
	log *os.File
	// pid is 0 while it does not run.
	pid int
	// off: somebody wants it not to run.
	off bool
	// again is when it is started anew.
	again time.Time
}

func newSupervisor(m Machine) (*supervisor, error) {
	s := &supervisor{signals: make(chan os.Signal, 16)}
	for _, service := range m.Services {
		log, err := os.OpenFile(service.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open log of %s: %w", service.Name, err)
		}
		s.services = append(s.services, &running{Service: service, log: log})
	}
	signal.Notify(s.signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, stopKubelet, startKubelet)
	return s, nil
}

// run starts the services in order and keeps them running until the node is told to end.
func (s *supervisor) run() error {
	for _, service := range s.services {
		if err := s.start(service); err != nil {
			return err
		}
		if err := service.await(); err != nil {
			return err
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case received := <-s.signals:
			if received == syscall.SIGTERM || received == syscall.SIGINT {
				return s.end()
			}
			s.act(received)
		case <-tick.C:
		}
		s.reap()
		if err := s.revive(); err != nil {
			return err
		}
	}
}

// act does what a signal asks for.
func (s *supervisor) act(received os.Signal) {
	for _, service := range s.services {
		if service.Name != kubelet {
			continue
		}
		switch received {
		case stopKubelet:
			service.off = true
			if service.pid != 0 {
				_ = syscall.Kill(service.pid, syscall.SIGKILL) // it may have ended meanwhile, which is what was asked for
			}
		case startKubelet:
			service.off = false
		}
	}
}

func (s *supervisor) start(service *running) error {
	process, err := os.StartProcess(service.Program, append([]string{service.Program}, service.Args...), &os.ProcAttr{
		Dir: "/",
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		},
		Files: []*os.File{nil, service.log, service.log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", service.Name, err)
	}
	service.pid = process.Pid
	return process.Release() // reap waits for all processes, whoever started them
}

// await waits until the service listens.
func (r *running) await() error {
	if r.Socket == "" {
		return nil
	}
	const pause = 20 * time.Millisecond
	for waited := time.Duration(0); waited < socketPatience; waited += pause {
		if info, err := os.Stat(r.Socket); err == nil && info.Mode().Type() == os.ModeSocket {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("%s does not listen on %s after %s; see %s", r.Name, r.Socket, socketPatience, r.Log)
}

// reap collects every process that has ended: those of containers whose shim is gone come to the first process, too.
func (s *supervisor) reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, service := range s.services {
			if service.pid == pid {
				service.pid, service.again = 0, time.Now().Add(restartPause)
			}
		}
	}
}

func (s *supervisor) revive() error {
	for _, service := range s.services {
		if service.pid == 0 && !service.off && time.Now().After(service.again) {
			if err := s.start(service); err != nil {
				return err
			}
		}
	}
	return nil
}

// end asks every process of the node to end and waits for those that need a while, such as a database.
func (s *supervisor) end() error {
	_ = unix.Kill(-1, unix.SIGTERM) // fails only if nothing else runs
	for deadline := time.Now().Add(endPatience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.ECHILD) && alone() {
			return nil
		}
	}
	return nil
}

// alone says whether the first process is the only one left.
func alone() bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if name := entry.Name(); name[0] >= '0' && name[0] <= '9' && name != "1" {
			if content, err := os.ReadFile("/proc/" + name + "/cmdline"); err == nil && len(content) > 0 {
				return false
			}
		}
	}
	return true
}
