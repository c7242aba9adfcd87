package owner

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// refuseOtherCluster compares the cluster that a namespace was created in with the one that it would be updated in. A stack's
// namespaces come before all else in them, so nothing has been written to the other cluster by then.
func (s *Stack) refuseOtherCluster(change *pulumi.ResourceHookArgs) error {
	recorded := guard.InputsOf(change.OldInputs).Text("metadata", "annotations", ClusterAnnotation)
	found := guard.InputsOf(change.NewInputs).Text("metadata", "annotations", ClusterAnnotation)
	if recorded == "" || found == "" || recorded == found {
		return nil
	}
	what := fmt.Sprintf("this is another cluster than the one that the stack is on: its kube-system has uid %s, recorded is %s. ", found, recorded)
	const otherwise = "set cluster.context and the kubeconfig back, and make a stack of its own for the other one: pulumi stack init"
	// A refresh would read objects of the same names into the state, so that this stack would manage them.
	switch seen, _ := s.lookOnce(); {
	case seen.err != nil:
		return fmt.Errorf("%s%s", what, otherwise)
	case len(seen.list)+len(seen.doubtful) > 0:
		return fmt.Errorf("%sSomebody else has objects there that are called like this stack's, so do not refresh: %s", what, otherwise)
	}
	return fmt.Errorf("%sIf the cluster was deleted and made anew, what the stack had in it is gone, the database included: run "+
		"`PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up --refresh --run-program`, which forgets it and installs again. If it is "+
		"another cluster, %s", what, otherwise)
}

// refuseOtherOwner refuses to write to an object that another stack has marked. A stack's number never changes, so a recorded one
// that differs was read from the cluster.
func refuseOtherOwner(change *pulumi.ResourceHookArgs) error {
	before, after := guard.InputsOf(change.OldInputs), guard.InputsOf(change.NewInputs)
	number, ours := before.Text("metadata", "annotations", OwnerAnnotation), after.Text("metadata", "annotations", OwnerAnnotation)
	stack, us := before.Text("metadata", "annotations", StackAnnotation), after.Text("metadata", "annotations", StackAnnotation)
	if ours == "" || number == ours || (number == "" && (stack == "" || stack == us)) {
		return nil
	}
	return fmt.Errorf("%s belongs to stack %s (number %q) and not to this one (number %q), whose state has it since a refresh: take it "+
		"out of the state, which leaves the object alone (pulumi state delete '%s'), and look whether cluster.context is right. To "+
		"give it to this stack: kubectl annotate --overwrite KIND NAME %s=%s %s-, then pulumi up --refresh",
		change.Name, stack, number, ours, change.URN, StackAnnotation, us, OwnerAnnotation)
}
