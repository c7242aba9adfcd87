package survey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ha-iris/internal/live"
)

// daemonSets are asked for without their namespace, because each engine has one of its own. They are few: a page of 500 has them all.
const daemonSets = "/apis/apps/v1/daemonsets?limit=500"

// daemon is a DaemonSet, as far as it is read.
type daemon struct {
	Status struct {
		Desired int `json:"desiredNumberScheduled"`
	} `json:"status"`
	Spec struct {
		Template struct {
			Spec struct {
				Containers []daemonContainer `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type daemonContainer struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
}

// enforces are the containers that enforce network policies on their node, by their names in the manifests of their projects.
func (c daemonContainer) enforces() bool {
	switch c.Name {
	case "aws-eks-nodeagent": // It always runs, and is told whether it has something to do.
		return slices.Contains(c.Args, "--enable-network-policy=true")
	case "kube-router":
		return !slices.Contains(c.Args, "--run-firewall=false")
	case "cilium-agent", "calico-node", "antrea-agent", "weave-npc", "azure-npm", "ovnkube-controller", "ovnkube-node", "kube-network-policies", "kindnet-cni", "cni-server":
		return true
	}
	return false
}

// readEnforcers asks only where a copy of the database is kept apart by network policies alone.
func readEnforcers(ctx context.Context, cluster *live.Cluster, needs Needs) answer[list[daemon]] {
	if len(needs.Database.VerifyRoles) == 0 {
		return answer[list[daemon]]{}
	}
	return read[list[daemon]](ctx, cluster, daemonSets)
}

// checkEnforced warns where nobody is known to enforce network policies. Kubernetes takes them everywhere, and some distributions enforce them without
// a DaemonSet, so that none is no proof.
func checkEnforced(facts *facts, needs Needs, found *findings) {
	if len(needs.Database.VerifyRoles) == 0 {
		return
	}
	if strings.Contains(facts.version.value.Text, "+k3s") { // Its server enforces them, without a DaemonSet.
		return
	}
	for _, one := range facts.daemonSets.value.Items {
		if one.Status.Desired > 0 && slices.ContainsFunc(one.Spec.Template.Spec.Containers, daemonContainer.enforces) {
			return
		}
	}
	seen := "no DaemonSet that is known to enforce network policies"
	if !facts.daemonSets.known() {
		seen = fmt.Sprintf("no answer to whether something enforces network policies (%v)", facts.daemonSets.err)
	}
	found.warnings.AddSecret("storage.backup.verify.enabled", "true, with "+seen, strings.Join([]string{
		"a cluster that enforces them: what runs in the copy of the database (tasks of the Task Manager, an application's own jobs) may otherwise reach",
		"what the database reaches, by address; names are not resolved there, productions do not start by themselves and iris.actions are left out",
		`(docs/operations.md, "Is a backup any good?")`,
	}, " "))
}
