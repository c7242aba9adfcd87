package owner

import (
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Object names an object of the cluster.
type Object struct {
	// APIVersion is GROUP/VERSION, or VERSION for the core group.
	APIVersion string
	Kind       string
	// Namespace is empty for objects without one.
	Namespace string
	Name      string
}

// String shows it as people write it for kubectl.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name)
}

// path is where the API server has the object.
func (o Object) path() string {
	root := "/apis/" + o.APIVersion
	if !strings.Contains(o.APIVersion, "/") {
		root = "/api/" + o.APIVersion
	}
	if o.Namespace != "" {
		root += "/namespaces/" + url.PathEscape(o.Namespace)
	}
	return root + "/" + plural(o.Kind) + "/" + url.PathEscape(o.Name)
}

// plural is how Kubernetes names the list of a kind (apimachinery's UnsafeGuessKindToResource); the tests compare.
func plural(kind string) string {
	name := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(name, "s"):
		return name + "es"
	case strings.HasSuffix(name, "y"):
		return strings.TrimSuffix(name, "y") + "ies"
	default:
		return name + "s"
	}
}

const namespaceKind = "Namespace"

// mark adds the annotations to an object's metadata and returns which object it is. What has no metadata, such as a Helm
// release, is not marked. Nor is an object whose name or annotations are not plain values; a test of the program reports those.
func (s *Stack) mark(typeToken string, props pulumi.Input, part Part) (Object, bool) {
	metadata := metadataOf(props)
	if metadata == nil {
		return Object{}, false
	}
	object := objectOf(typeToken, metadata, part.Namespace)
	if object.Name == "" {
		return Object{}, false
	}
	own, isMap := metadata.Annotations.(pulumi.StringMap)
	if !isMap && metadata.Annotations != nil {
		return Object{}, false
	}
	annotations := pulumi.StringMap{}
	maps.Copy(annotations, own)
	// Last, so that the user's annotations cannot override them.
	maps.Copy(annotations, pulumi.StringMap{
		StackAnnotation: pulumi.String(s.name),
		OwnerAnnotation: s.number,
		forceAnnotation: pulumi.String("true"),
	})
	if object.Kind == namespaceKind {
		annotations[ClusterAnnotation] = s.clusterUID
	}
	metadata.Annotations = annotations
	return object, true
}

// objectOf reads TYPE as in kubernetes:apps/v1:Deployment. Names are plain in this program, and namespaces are the part's.
func objectOf(typeToken string, metadata *metav1.ObjectMetaArgs, namespace string) Object {
	parts := strings.SplitN(typeToken, ":", 3)
	apiVersion := strings.TrimPrefix(parts[1], "core/")
	name, _ := metadata.Name.(pulumi.String)
	object := Object{APIVersion: apiVersion, Kind: parts[2], Name: string(name)}
	if metadata.Namespace != nil {
		object.Namespace = namespace
	}
	return object
}

// metadataOf finds the metadata in a resource's arguments; nil when there are none, or not as this program writes them.
func metadataOf(props pulumi.Input) *metav1.ObjectMetaArgs {
	if untyped, isMap := props.(kubernetes.UntypedArgs); isMap {
		metadata, _ := untyped["metadata"].(*metav1.ObjectMetaArgs)
		return metadata
	}
	return metadataField(props)
}
