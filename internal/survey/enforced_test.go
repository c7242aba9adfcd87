package survey_test

import (
	"slices"
	"testing"
)

const daemons = "GET /apis/apps/v1/daemonsets"

func daemonSet(container string, args ...string) object { return daemonSetOn(3, container, args...) }

func daemonSetOn(nodes int, container string, args ...string) object {
	return object{"status": object{"desiredNumberScheduled": nodes}, "spec": object{"template": object{"spec": object{"containers": []object{{"name": container, "args": args}}}}}}
}

// The copy of a database that is verified is kept apart by network policies alone, which Kubernetes takes where nobody enforces them.
func TestEnforced_IsSaidWhereNothingIsKnownToKeepACopyApart(t *testing.T) {
	t.Parallel()
	const warned = "storage.backup.verify.enabled: got true, with no "
	for name, test := range map[string]struct {
		answer any
		warns  string
	}{
		"cilium":          {items(daemonSet("kube-proxy"), daemonSet("cilium-agent")), ""},
		"calico":          {items(daemonSet("calico-node")), ""},
		"eks, on":         {items(daemonSet("aws-eks-nodeagent", "--enable-network-policy=true")), ""},
		"eks, off":        {items(daemonSet("aws-eks-nodeagent", "--enable-network-policy=false")), warned + "DaemonSet"},
		"kube-router":     {items(daemonSet("kube-router", "--run-firewall=true")), ""},
		"its routes only": {items(daemonSet("kube-router", "--run-firewall=false")), warned + "DaemonSet"},
		"on no node":      {items(daemonSetOn(0, "cilium-agent")), warned + "DaemonSet"},
		"kube-proxy only": {items(daemonSet("kube-proxy")), warned + "DaemonSet"},
		"forbidden":       {failure{403, "no"}, warned + "answer"},
	} {
		for _, verifies := range []bool{true, false} {
			a, n := healthy(), needs()
			a.answers[daemons] = test.answer
			want := test.warns
			if verifies {
				n.Database.VerifyRoles = []string{"iris", "longhorn-system"}
			} else {
				want = ""
			}
			found, err := look(t, a, n)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, name, found.Warnings, want)
			if asked := slices.Contains(a.asked, daemons); asked != verifies {
				t.Errorf("%s: asked: %v, want %v", name, asked, verifies)
			}
		}
	}
}
