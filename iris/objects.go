package iris

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	schedulingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/scheduling/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Names of the objects. They are the article's, and they are fixed instead of generated because people and runbooks use
// them: kubectl logs deployment/iris, a client's iris-svc.iris.svc, the claim that a backup restores into.
const (
	claimName       = "iris-pvc"
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

// builder carries what every object needs while the objects are created, and the few that others refer to.
type builder struct {
	ctx    *pulumi.Context
	name   string
	parent *IRIS
	args   *Args
	cfg    Config
	plan   *plan

	namespace     *corev1.Namespace
	claim         *corev1.PersistentVolumeClaim
	merge         *corev1.ConfigMap
	scripts       *corev1.ConfigMap
	gateway       *corev1.ConfigMap
	credentials   *corev1.Secret
	license       *corev1.Secret
	registry      *corev1.Secret
	priorityClass *schedulingv1.PriorityClass
	service       *corev1.Service
	policies      []pulumi.Resource
}

// options are those of every child. A fresh slice at each call: appending to a shared one overwrites a sibling's option.
func (b *builder) options(own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	options := append([]pulumi.ResourceOption{pulumi.Parent(b.parent)}, own...)
	if b.args.Lifetime != nil {
		options = append(options, pulumi.DeletedWith(b.args.Lifetime))
	}
	return options
}

// dataOptions are those of the objects that hold the data.
func (b *builder) dataOptions(own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	if b.cfg.ProtectData {
		return append([]pulumi.ResourceOption{pulumi.Parent(b.parent), pulumi.Protect(true)}, own...)
	}
	return b.options(own...)
}

// namespaceName is the namespace's name as its object gives it, so that whatever is in it waits for it.
func (b *builder) namespaceName() pulumi.StringOutput { return b.namespace.Metadata.Name().Elem() }

// labels are those of every object; component says which part of the instance it is.
func labels(component string) pulumi.StringMap {
	return pulumi.StringMap{
		"app.kubernetes.io/name":       pulumi.String("iris"),
		"app.kubernetes.io/component":  pulumi.String(component),
		"app.kubernetes.io/part-of":    pulumi.String("ha-iris"),
		"app.kubernetes.io/managed-by": pulumi.String("pulumi"),
	}
}

const (
	componentDatabase = "database"
	componentPrePull  = "pre-pull"
)

// selector finds the database's pod. The article's label, alone, because a Deployment's selector can never change.
func selector() pulumi.StringMap { return pulumi.StringMap{"app": pulumi.String("iris")} }

// metadata is that of a namespaced object.
func (b *builder) metadata(name string, annotations pulumi.StringMap) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name:        pulumi.String(name),
		Namespace:   b.namespaceName(),
		Labels:      labels(componentDatabase),
		Annotations: annotations,
	}
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
