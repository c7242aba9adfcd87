package traits

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// BackupStore is a bucket of the cluster's platform, with an identity that may use it and nothing else.
type BackupStore struct {
	// Target is its address, as storage.backup.target has it.
	Target pulumi.StringOutput
	// Credentials are the keys and values of its login. Secret ones are Pulumi secrets.
	Credentials pulumi.StringMap
	// PodVariable is the environment variable that only a pod has which got the identity when it was made; empty when the credentials are
	// all that it takes.
	PodVariable string
	// Ready are what must exist before a pod is made that is to use it.
	Ready []pulumi.Resource
}
