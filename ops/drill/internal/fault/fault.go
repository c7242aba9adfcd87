package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"ha-iris/ops/drill/internal/kube"
)

// Kind is an experiment.
type Kind string

// The experiments, from the mildest to the worst.
const (
	StopInstance Kind = "stop-instance"
	DeletePod    Kind = "delete-pod"
	DrainNode    Kind = "drain-node"
	StopKubelet  Kind = "stop-kubelet"
	CutNode      Kind = "cut-node"
	LoseNode     Kind = "lose-node"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{StopInstance, DeletePod, DrainNode, StopKubelet, CutNode, LoseNode}
}

// NodeLost says whether the node itself is hit.
func (k Kind) NodeLost() bool { return k == StopKubelet || k == CutNode || k == LoseNode }

// Isolates says whether the old database may live on.
func (k Kind) Isolates() bool { return k == StopKubelet || k == CutNode }

// Victim is what the fault hits.
type Victim struct {
	Namespace, Pod, Container, Node string
	UID                             types.UID
}

// Maker makes faults.
type Maker struct {
	Cluster  *kube.Client
	Commands Commands
	// Ask tells the operator what to do, and returns when the node is no longer Ready (Ready again with back), or when the operator
	// says that it is done.
	Ask func(ctx context.Context, what, node string, back bool) error
}

// about is what an experiment does, what undoes it, and what to tell an operator without a command.
type about struct {
	does, undoes, says, saysUndo string
}

func (m *Maker) about(kind Kind) about {
	switch kind {
	case LoseNode:
		return about{
			m.Commands.StopNode, m.Commands.StartNode,
			"stop the machine of node {node} at once, as a loss of power does, for example\n" +
				"  az vmss stop --skip-shutdown --resource-group GROUP --name SCALE_SET --instance-ids ID\n" +
				"  aws ec2 stop-instances --force --instance-ids ID\n" +
				"  gcloud compute instances stop --discard-local-ssd=false --zone ZONE INSTANCE",
			"start the machine of node {node} again",
		}
	case CutNode:
		return about{
			m.Commands.CutNode, m.Commands.JoinNode,
			"cut node {node} off the network, without stopping it",
			"put node {node} back on the network",
		}
	case StopKubelet:
		return about{
			m.Commands.StopKubelet, m.Commands.StartKubelet,
			"stop the kubelet of node {node}: systemctl stop kubelet",
			"start the kubelet of node {node}: systemctl start kubelet",
		}
	default:
		return about{}
	}
}

// Make makes the fault. It returns once it is made; a drain once the pods are gone.
func (m *Maker) Make(ctx context.Context, kind Kind, victim Victim) error {
	switch kind {
	case StopInstance:
		return m.killInstance(ctx, victim)
	case DeletePod:
		return m.Cluster.Delete(ctx, kube.Pods, victim.Namespace, victim.Pod, victim.UID)
	case DrainNode:
		return m.drain(ctx, victim.Node)
	default:
		about := m.about(kind)
		return m.machine(ctx, about.does, about.says, victim.Node, false)
	}
}

// Undo gives back what the fault took; doing it twice is fine.
func (m *Maker) Undo(ctx context.Context, kind Kind, node string) error {
	switch kind {
	case StopInstance, DeletePod:
		return nil
	case DrainNode:
		return m.cordon(ctx, node, false)
	default:
		about := m.about(kind)
		return m.machine(ctx, about.undoes, about.saysUndo, node, true)
	}
}

func (m *Maker) machine(ctx context.Context, command, says, node string, back bool) error {
	if command != "" {
		return run(ctx, command, node)
	}
	if m.Ask == nil {
		return errors.New("there is no command for that")
	}
	return m.Ask(ctx, strings.ReplaceAll(says, Placeholder, node), node, back)
}

// killScript ends the processes of the instance as a crash does. irisdb is the name of all of them, the control process first; the
// entry point and what else runs in the pod stay. They are named before they are killed, because the shell may end with the
// container.
const killScript = `pids=; for p in /proc/[0-9]*; do c=$({ tr '\0' ' ' < $p/cmdline; } 2>/dev/null); ` +
	`case ${c%% *} in irisdb|*/irisdb) pids="$pids ${p#/proc/}" ;; esac; done; echo "processes:$pids;"; [ -z "$pids" ] || kill -9 $pids`

func (m *Maker) killInstance(ctx context.Context, victim Victim) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	in := kube.Container{Namespace: victim.Namespace, Pod: victim.Pod, Name: victim.Container}
	said, err := m.Cluster.Shell(ctx, in, killScript, "")
	switch {
	case strings.Contains(said, "processes:;"):
		return fmt.Errorf("there is no process irisdb in pod %s", victim.Pod)
	case strings.Contains(said, "processes: "):
		return nil
	default:
		return errors.Join(fmt.Errorf("kill the instance in pod %s: the shell said %q", victim.Pod, said), err)
	}
}
