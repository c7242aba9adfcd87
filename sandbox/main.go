// Command sandbox runs a Kubernetes cluster on this machine for trying ha-iris without a cloud: the control plane is
// real, the nodes, containers and disks are simulated. See README.md in this directory.
package main

import (
	"os"

	"ha-iris/sandbox/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
