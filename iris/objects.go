package iris

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Names of the objects. Those of the claim, the merge file, the Deployment and the Service are the article's. All are fixed
// instead of generated because people and runbooks use them: kubectl logs deployment/iris, a client's iris-svc.iris.svc, the claim that a backup restores into.
const (
	mergeName       = "iris-cpf-merge"
	deploymentName  = "iris"
	serviceName     = "iris-svc"
	credentialsName = "iris-credentials"
	licenseName     = "iris-license-key"
	registryName    = "iris-registry"
	gatewayName     = "iris-web-gateway"
	scriptsName     = "iris-scripts"
	prePullName     = "iris-pre-pull"
	denyAllName     = "default-deny"
)

// Ports, with the names that the Service and the policies use.
const (
	portalPort      = 52773 // Community's own web server and webgateway-lockeddown alike (ADOCK 5.5).
	superserverPort = 1972
	portalPortName  = "smp-http"
	superserverName = "superserver"
)

// scope is what the steps of provision have in common.
type scope struct {
	ctx *pulumi.Context
	// name is parent's logical name.
	name   string
	parent *IRIS
	cfg    Config
	// lifetime is Args.Lifetime.
	lifetime pulumi.Resource
	// mounted is the option of all that the database's pod mounts; guardUpgrade sets it.
	mounted pulumi.ResourceOption
}

// options are those of every child. A fresh slice at each call: appending to a shared one overwrites a sibling's option.
func (s *scope) options(own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	options := append([]pulumi.ResourceOption{pulumi.Parent(s.parent)}, own...)
	if s.lifetime != nil {
		options = append(options, pulumi.DeletedWith(s.lifetime))
	}
	return options
}

// dataOptions are those of the objects that hold the data.
func (s *scope) dataOptions(own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	if s.cfg.ProtectData {
		return append([]pulumi.ResourceOption{pulumi.Parent(s.parent), pulumi.Protect(true)}, own...)
	}
	return s.options(own...)
}

// checksum is a digest of texts that are not secret. Each is preceded by its length, so that moving a line from one to the
// next is a change.
func checksum(texts ...string) string {
	var all strings.Builder
	for _, text := range texts {
		fmt.Fprintf(&all, "%d:%s", len(text), text)
	}
	digest := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(digest[:])[:32]
}

// creating names the object that could not be created.
func creating(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("create %s: %w", what, err)
}
