// Command ha-iris is a Pulumi program: a highly available InterSystems IRIS on Kubernetes without mirroring. Package program is
// where it begins.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/program"
)

func main() { pulumi.Run(program.Run) }
