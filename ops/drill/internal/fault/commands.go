// Package fault makes and undoes the faults of a drill.
package fault

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Placeholder stands for the node's name in a command.
const Placeholder = "{node}"

// commandTime bounds a command. Clouds take a minute or two to stop a machine.
const commandTime = 10 * time.Minute

// Commands do to a machine what Kubernetes cannot. An empty one is not there.
type Commands struct {
	StopNode, StartNode, CutNode, JoinNode, StopKubelet, StartKubelet string
}

// Sandbox are the sandbox's own commands.
func Sandbox(program, name string) Commands {
	command := func(fault string) string {
		return fmt.Sprintf("%s node %s %s --name %s", program, fault, Placeholder, name)
	}
	return Commands{
		StopNode: command("kill"), StartNode: command("start"), CutNode: command("cut"), JoinNode: command("join"),
		StopKubelet: command("kubelet-stop"), StartKubelet: command("start"),
	}
}

// Or takes from others what is not there.
func (c Commands) Or(others Commands) Commands {
	for _, pair := range []struct{ mine, other *string }{
		{&c.StopNode, &others.StopNode},
		{&c.StartNode, &others.StartNode},
		{&c.CutNode, &others.CutNode},
		{&c.JoinNode, &others.JoinNode},
		{&c.StopKubelet, &others.StopKubelet},
		{&c.StartKubelet, &others.StartKubelet},
	} {
		if *pair.mine == "" {
			*pair.mine = *pair.other
		}
	}
	return c
}

// nodeName is what Kubernetes admits: nothing that a shell would take for more than a word.
var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// run runs a command for a node.
func run(ctx context.Context, command, node string) error {
	if !nodeName.MatchString(node) {
		return fmt.Errorf("the node's name %q is none", node)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	line := strings.ReplaceAll(command, Placeholder, node)
	output, err := exec.CommandContext(ctx, "/bin/sh", "-c", line).CombinedOutput() //nolint:gosec // That is what the options are for.
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", line, err), errors.New(strings.TrimSpace(string(output))))
	}
	return nil
}
