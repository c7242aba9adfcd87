package owner

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// refuseOtherCluster compares the cluster that a namespace was created in with the one that it would be updated in. A stack's
// namespaces come before all else in them, so nothing has been written to the other cluster by then.
func refuseOtherCluster(change *pulumi.ResourceHookArgs) error {
	recorded := guard.InputsOf(change.OldInputs).Text("metadata", "annotations", ClusterAnnotation)
	found := guard.InputsOf(change.NewInputs).Text("metadata", "annotations", ClusterAnnotation)
	if recorded == "" || found == "" || recorded == found {
		return nil
	}
	return fmt.Errorf("this is another cluster than the one that the stack is on: its kube-system has uid %s, recorded is %s. "+
		"If the cluster was deleted and made anew, what the stack had in it is gone, the database included: run "+
		"`PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up --refresh --run-program`, which forgets it and installs again. If it is "+
		"another cluster, set cluster.context and the kubeconfig back, and make a stack of its own for the other one: pulumi stack init", found, recorded)
}
