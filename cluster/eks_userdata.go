package cluster

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed userdata/eks-node.sh
var eksNodeScript string

// mimeBoundary separates the parts of the user data. It is fixed, because a random one would create a new version of
// the launch template, and so new nodes, at every up.
const mimeBoundary = "==ha-iris-node=="

// eksUserData is the nodes' user data.
func eksUserData() (string, error) { return mimeUserData(eksNodeScript) }

// mimeUserData wraps shell scripts as the multipart message that EKS asks for when it adds its own part to the user data
// of a launch template; a bare script makes the creation of the node group fail. One flat level, with line ends as in
// AWS's examples: the node's bootstrap has failed with nested parts (eksctl-io/eksctl#7895).
func mimeUserData(scripts ...string) (string, error) {
	var message strings.Builder
	fmt.Fprintf(&message, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%q\n\n", mimeBoundary)
	for i, script := range scripts {
		if strings.Contains(script, mimeBoundary) {
			return "", fmt.Errorf("user data: script %d contains the boundary %q", i, mimeBoundary)
		}
		fmt.Fprintf(&message, "--%s\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n%s\n", mimeBoundary, script)
	}
	fmt.Fprintf(&message, "--%s--\n", mimeBoundary)
	return message.String(), nil
}
