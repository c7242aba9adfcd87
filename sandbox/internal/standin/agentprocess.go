package standin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ha-iris/sandbox/internal/tools"
)

// errBuilding is for an agent that is being compiled.
var errBuilding = errors.New("it is being built")

// agentProcesses runs agents as processes of this machine.
type agentProcesses struct {
	// module is the directory of the agent's Go module, and dir that of the program, of tokens and of logs.
	module, dir string
	// cluster is the way to the API server; its own rights are not used.
	cluster *rest.Config
	log     *slog.Logger
	// life ends with the controller, and every agent with it.
	life context.Context //nolint:containedctx // The processes live as long as the controller, not as long as a call.

	mu      sync.Mutex
	running map[string]*agentProcess
	// built is closed once the program is there or cannot be built, which failed says.
	built  chan struct{}
	failed error
}

type agentProcess struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func newAgentProcesses(ctx context.Context, module, dir string, cluster *rest.Config, log *slog.Logger) *agentProcesses {
	return &agentProcesses{module: module, dir: dir, cluster: cluster, log: log, life: ctx, running: map[string]*agentProcess{}}
}

// Start starts the agent for a pod unless it runs already.
func (a *agentProcesses) Start(pod string, arguments []string, token func() (string, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.running[pod]; known != nil && known.alive() {
		return nil
	}
	if err := a.program(); err != nil {
		return err
	}
	text, err := token()
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(pod, "/", "_")
	kubeconfig := filepath.Join(a.dir, name+".kubeconfig")
	if err := a.writeKubeconfig(kubeconfig, text); err != nil {
		return err
	}
	started, err := a.run(name, append(arguments, "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0"))
	if err != nil {
		return err
	}
	a.running[pod] = started
	a.log.Info("an agent runs as a process", "pod", pod)
	return nil
}

// Stop kills the pod's agent, as the loss of a machine would.
func (a *agentProcesses) Stop(pod string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.running[pod]
	if known == nil {
		return
	}
	known.cancel()
	<-known.ended
	delete(a.running, pod)
	a.log.Info("an agent has ended with its pod or its node", "pod", pod)
}

func (p *agentProcess) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// program builds the agent beside everything else, once.
func (a *agentProcesses) program() error {
	if a.built == nil {
		a.built = make(chan struct{})
		go func() {
			defer close(a.built)
			a.failed = a.build()
		}()
	}
	select {
	case <-a.built:
		if a.failed != nil {
			a.built = nil // Tried again: a module may not have come.
		}
		return a.failed
	default:
		return errBuilding
	}
}

func (a *agentProcesses) executable() string { return filepath.Join(a.dir, "agent") }

func (a *agentProcesses) build() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the agents: %w", err)
	}
	return tools.Compile(a.life, a.module, a.dir, ".")
}

func (a *agentProcesses) writeKubeconfig(path, token string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{
		Server: a.cluster.Host, CertificateAuthority: a.cluster.CAFile, CertificateAuthorityData: a.cluster.CAData,
	}
	config.AuthInfos["agent"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["agent"] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: "agent"}
	config.CurrentContext = "agent"
	if err := clientcmd.WriteToFile(*config, path); err != nil { // Readable by its owner only.
		return fmt.Errorf("write the agent's kubeconfig: %w", err)
	}
	return nil
}

func (a *agentProcesses) run(name string, arguments []string) (*agentProcess, error) {
	logFile, err := os.OpenFile(filepath.Join(a.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the agent's log: %w", err)
	}
	defer func() { _ = logFile.Close() }() // The process has it.
	ctx, cancel := context.WithCancel(a.life)
	command := exec.CommandContext(ctx, a.executable(), arguments...)
	command.Stdout, command.Stderr = logFile, logFile
	diesWithParent(command)
	if err := command.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	started := &agentProcess{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(started.ended)
		_ = command.Wait() // How it ended is in its log.
	}()
	return started, nil
}
