package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ha-iris/sandbox/internal/lab"
)

// shortHash tells clusters of several checkouts apart where a path is too long.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// injectReal does something to a machine, or undoes it. What it was done before and what Kubernetes thinks of it do not matter.
func (c *Cluster) injectReal(ctx context.Context, s state, fault Fault, name string) (FaultResult, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return FaultResult{}, err
	}
	defer unlock()
	number := slices.Index(nodeNames(), name)
	if number < 0 {
		return FaultResult{}, fmt.Errorf("there is no node %q: want one of %s", name, strings.Join(nodeNames(), ", "))
	}
	node, before := c.machines(s)[number], c.faultOf(name)
	result := FaultResult{Cluster: c.Name, Node: name, Fault: fault, State: fault.state(), Changed: before != fault}
	if !fault.ends() {
		result.Changed = before != ""
	}
	if !result.Changed {
		return result, nil
	}
	if err := c.refuseMixed(name, before, fault); err != nil {
		return FaultResult{}, err
	}
	if err := c.act(ctx, s, node, before, fault); err != nil {
		return FaultResult{}, err
	}
	return result, c.saveFault(name, fault)
}

// refuseMixed keeps one fault from hiding another: the word that undoes the second would not undo the first.
func (c *Cluster) refuseMixed(name string, before, fault Fault) error {
	switch {
	case before == "" || fault == Kill:
		return nil
	case before.undo() != fault:
		return fmt.Errorf("node %s has another fault (%s): undo it first with: sandbox node %s %s --name %s",
			name, before, before.undo(), name, c.Name)
	}
	return nil
}

func (c *Cluster) act(ctx context.Context, s state, node lab.Node, before, fault Fault) error {
	found, err := c.process(node.Name)
	if err != nil {
		return err
	}
	if mayBeDead := fault == Kill || before == Kill; found.live != alive && !mayBeDead {
		return fmt.Errorf("node %s does not run: repair it with: sandbox up --name %s", node.Name, c.Name)
	}
	switch {
	case fault == Kill:
		return c.kill(ctx, node, found)
	case fault == Cut:
		return lab.Connect(node.Plan, node.Number, false)
	case fault == Join:
		return lab.Connect(node.Plan, node.Number, true)
	case fault == KubeletStop:
		return node.StopKubelet(found.pids[0])
	case before == KubeletStop:
		return node.StartKubelet(found.pids[0])
	}
	_, err = c.replace(ctx, c.machine(node, s.Self), found)
	return err
}

// kill returns once the node's processes are gone, which is at once for all of them.
func (c *Cluster) kill(ctx context.Context, node lab.Node, found process) error {
	for _, pid := range found.pids {
		if err := node.Kill(pid); err != nil {
			return err
		}
	}
	ended, err := c.awaitEnd(ctx, node.Name)
	if err != nil {
		return fmt.Errorf("kill node %s: %w", node.Name, err)
	}
	if !ended {
		return fmt.Errorf("kill node %s: it is still there after %s", node.Name, stopPatience)
	}
	return c.forget(node.Name)
}
