package owner

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"ha-iris/internal/live"
)

var (
	namespace = Object{APIVersion: "v1", Kind: "Namespace", Name: "iris"}
	claim     = Object{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "iris", Name: "iris-pvc"}
	class     = Object{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass", Name: "longhorn-iris"}
	driver    = Object{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver", Name: "driver.longhorn.io"}
	us        = identity{name: "organization/ha-iris/dev", number: "0123456789abcdef"}
)

func declared() []declaration {
	part := Part{Namespace: "iris", Advice: map[string]string{"": "another namespace", "StorageClass": "another class"}}
	return []declaration{
		{Object: namespace, part: part},
		{Object: claim, part: part},
		{Object: class, part: part},
		{Object: driver, part: part, isSign: true},
	}
}

// apiServer has the objects that a test gives it, by path, and remembers what it was asked for.
type apiServer struct {
	objects map[string]map[string]any
	status  int

	mu    sync.Mutex
	asked []string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	object, found := s.objects[r.URL.Path]
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(`{"message": "not for you"}`))
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"metadata": object})
	}
}

func (s *apiServer) start(t *testing.T) *live.Cluster {
	t.Helper()
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	cluster := &live.Cluster{}
	cluster.Connect(fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
contexts: [{name: c, context: {cluster: c}}]
`, server.URL, base64.StdEncoding.EncodeToString(authority)))
	return cluster
}

func annotated(pairs ...string) map[string]any {
	annotations := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		annotations[pairs[i]] = pairs[i+1]
	}
	return map[string]any{"annotations": annotations}
}

func TestSurvey_FindsWhatIsNotTheStacks(t *testing.T) {
	t.Parallel()
	ours := annotated(OwnerAnnotation, us.number, StackAnnotation, "organization/ha-iris/before-a-rename")
	for name, test := range map[string]struct {
		objects map[string]map[string]any
		want    []string
	}{
		"an empty cluster": {},
		"all of it the stack's, after an update that was killed": {
			objects: map[string]map[string]any{namespace.path(): ours, claim.path(): ours, class.path(): ours, driver.path(): {}},
		},
		"given to the stack by name": {objects: map[string]map[string]any{namespace.path(): annotated(StackAnnotation, us.name)}},
		"given to another stack": {
			objects: map[string]map[string]any{namespace.path(): annotated(StackAnnotation, "organization/ha-iris/prod")},
			want:    []string{"Namespace iris: of stack organization/ha-iris/prod"},
		},
		"of a stack of the same name that has a state of its own": {
			objects: map[string]map[string]any{namespace.path(): annotated(StackAnnotation, us.name, OwnerAnnotation, "ffff")},
			want:    []string{"Namespace iris: of stack organization/ha-iris/dev (number ffff)"},
		},
		"made by hand, a claim in it": {
			objects: map[string]map[string]any{
				namespace.path(): {"managedFields": []any{map[string]any{"manager": "kubectl-create"}}, "creationTimestamp": "2026-11-01T10:00:00Z"},
				claim.path():     {},
			},
			want: []string{"Namespace iris: written by kubectl-create, created 2026-11-01", "PersistentVolumeClaim iris/iris-pvc: somebody else's"},
		},
		"a class of a Helm release": {
			objects: map[string]map[string]any{class.path(): annotated("meta.helm.sh/release-name", "lh", "meta.helm.sh/release-namespace", "kube-system")},
			want:    []string{"StorageClass longhorn-iris: of Helm release kube-system/lh"},
		},
		"another installation in a namespace of another name": {
			objects: map[string]map[string]any{driver.path(): {}},
			want:    []string{"CSIDriver driver.longhorn.io: somebody else's"},
		},
		"another installation, and our own namespace from an update that was killed": {
			objects: map[string]map[string]any{driver.path(): {}, namespace.path(): ours},
		},
		"a claim in a namespace that is the stack's": {
			objects: map[string]map[string]any{namespace.path(): ours, claim.path(): {"labels": map[string]any{"app.kubernetes.io/managed-by": "pulumi"}}},
			want:    []string{"PersistentVolumeClaim iris/iris-pvc: managed by pulumi"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &apiServer{objects: test.objects}
			found := survey(server.start(t), declared(), us)
			if found.err != nil {
				t.Fatal(found.err)
			}
			var got []string
			for _, one := range found.list {
				got = append(got, fmt.Sprintf("%s: %s", one.Object, one.owner))
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestSurvey_AsksNothingOfANamespaceThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := &apiServer{}
	if found := survey(server.start(t), declared(), us); found.err != nil || len(found.list) > 0 {
		t.Fatalf("got %+v", found)
	}
	if len(server.asked) != 3 {
		t.Errorf("asked for %q; want the three objects without a namespace", server.asked)
	}
}

func TestSurveyThatMayNotLook_IsNoPermission(t *testing.T) {
	t.Parallel()
	found := survey((&apiServer{status: http.StatusForbidden}).start(t), declared(), us)
	if found.err == nil || !strings.Contains(found.err.Error(), "not for you") || !strings.Contains(found.err.Error(), "exists already") {
		t.Errorf("got %v", found.err)
	}
}

func TestRefusal_ListsEverythingOnceAndWhatToDo(t *testing.T) {
	t.Parallel()
	all := declared()
	found := findings{list: []finding{{all[0], "of stack x"}, {all[2], "y"}, {all[3], "z"}}}
	err := found.refusal("namespace", us.name, true)
	if err == nil {
		t.Fatal("not refused")
	}
	for _, want := range []string{
		"has 3 of the objects", "Namespace iris: of stack x", "StorageClass longhorn-iris: y", "CSIDriver driver.longhorn.io: z",
		"another namespace", "another class", "pulumi import", "ha-iris/stack=organization/ha-iris/dev ha-iris/owner-",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%q is not there once:\n%v", want, err)
		}
	}
	short := found.refusal("longhorn-iris", us.name, false)
	if short == nil || strings.Contains(short.Error(), "\n") {
		t.Errorf("the second refusal repeats the list: %v", short)
	}
	if err := (findings{}).refusal("iris", us.name, true); err != nil {
		t.Errorf("refused although nothing is in the way: %v", err)
	}
}

func TestOtherCluster_IsRefused(t *testing.T) {
	t.Parallel()
	namespaceOn := func(uid string) resource.PropertyMap {
		return resource.NewPropertyMapFromMap(map[string]any{"metadata": map[string]any{"annotations": map[string]any{ClusterAnnotation: uid}}})
	}
	for name, test := range map[string]struct {
		before, after resource.PropertyMap
		refused       bool
	}{
		"the same":                           {before: namespaceOn("a"), after: namespaceOn("a")},
		"another":                            {before: namespaceOn("a"), after: namespaceOn("b"), refused: true},
		"recorded before this check existed": {before: resource.PropertyMap{}, after: namespaceOn("b")},
		"not known yet":                      {before: namespaceOn("a"), after: resource.PropertyMap{}},
	} {
		server := &apiServer{}
		if err := newStack(t, server).refuseOtherCluster(&pulumi.ResourceHookArgs{OldInputs: test.before, NewInputs: test.after}); (err != nil) != test.refused {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestMarks_CannotBeSetByTheUser(t *testing.T) {
	t.Parallel()
	metadata := &metav1.ObjectMetaArgs{
		Name: pulumi.String("iris-svc"), Namespace: pulumi.String("iris"),
		Annotations: pulumi.StringMap{StackAnnotation: pulumi.String("theirs"), "example.com/own": pulumi.String("kept")},
	}
	object, marked := (&Stack{name: us.name}).mark("kubernetes:core/v1:Service", &corev1.ServiceArgs{Metadata: metadata}, Part{Namespace: "iris"})
	annotations, _ := metadata.Annotations.(pulumi.StringMap)
	if !marked || object != (Object{APIVersion: "v1", Kind: "Service", Namespace: "iris", Name: "iris-svc"}) {
		t.Errorf("marked %t: %v", marked, object)
	}
	if annotations[StackAnnotation] != pulumi.String(us.name) || annotations["example.com/own"] != pulumi.String("kept") {
		t.Errorf("got %v", annotations)
	}
}

func TestPlural_IsThatOfKubernetes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"Namespace", "PersistentVolumeClaim", "ConfigMap", "Secret", "Service", "Deployment", "DaemonSet", "NetworkPolicy",
		"PriorityClass", "StorageClass", "ServiceMonitor", "CSIDriver", "CustomResourceDefinition", "Ingress", "ClusterRoleBinding",
		"VolumeSnapshotClass",
	} {
		want, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: kind})
		if got := plural(kind); got != want.Resource {
			t.Errorf("%s: got %s, want %s", kind, got, want.Resource)
		}
	}
}

// A wrong path is answered like an object that is not there, which is then taken over.
func TestPath_IsWhereTheAPIServerHasTheObject(t *testing.T) {
	t.Parallel()
	for want, object := range map[string]Object{
		"/api/v1/namespaces/iris":                                   namespace,
		"/api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc":   claim,
		"/apis/storage.k8s.io/v1/storageclasses/longhorn-iris":      class,
		"/apis/storage.k8s.io/v1/csidrivers/driver.longhorn.io":     driver,
		"/apis/apps/v1/namespaces/iris/deployments/iris":            {APIVersion: "apps/v1", Kind: "Deployment", Namespace: "iris", Name: "iris"},
		"/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/b": {APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: "a", Name: "b"},
	} {
		if got := object.path(); got != want {
			t.Errorf("%s: got %s, want %s", object, got, want)
		}
	}
}

// Whichever comes last, the number or the last declaration: without the one everything is somebody else's, without the other
// what is in the way is not seen.
func TestLook_WaitsForTheNumberAndForEveryDeclaration(t *testing.T) {
	t.Parallel()
	server := &apiServer{objects: map[string]map[string]any{
		namespace.path(): annotated(OwnerAnnotation, us.number),
		claim.path():     annotated(OwnerAnnotation, "ffff"),
	}}
	cluster := server.start(t)
	for name, last := range map[string]func(*Stack){
		"the number": func(s *Stack) { s.knownNumber <- us.number },
		"a declaration": func(s *Stack) {
			s.declare(declaration{Object: claim})
			s.Complete()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Stack{name: us.name, cluster: cluster, knownNumber: make(chan string, 1), complete: make(chan struct{})}
			s.declare(declaration{Object: namespace})
			if name == "the number" {
				s.declare(declaration{Object: claim})
				s.Complete()
			} else {
				s.knownNumber <- us.number
			}
			found := make(chan findings)
			go func() { found <- s.look() }()
			select {
			case early := <-found:
				t.Fatalf("did not wait, and found %+v", early)
			case <-time.After(100 * time.Millisecond): // Long enough for one that does not wait to have asked.
			}
			last(s)
			got := <-found
			if got.err != nil || len(got.list) != 1 || got.list[0].Object != claim {
				t.Errorf("got %+v, want the claim alone", got)
			}
		})
	}
}

func TestWhatHasNoPlainName_IsNotMarked(t *testing.T) {
	t.Parallel()
	nameless := &metav1.ObjectMetaArgs{Namespace: pulumi.String("iris")}
	for typeToken, props := range map[string]pulumi.Input{
		"kubernetes:core/v1:Service":     &corev1.ServiceArgs{Metadata: nameless},
		"kubernetes:helm.sh/v3:Release":  kubernetes.UntypedArgs{"name": pulumi.String("longhorn")},
		"kubernetes:core/v1:PodTemplate": &corev1.PodTemplateArgs{},
	} {
		if object, marked := (&Stack{name: us.name}).mark(typeToken, props, Part{Namespace: "iris"}); marked {
			t.Errorf("%s is marked as %v", typeToken, object)
		}
	}
	if nameless.Annotations != nil {
		t.Errorf("got %v", nameless.Annotations)
	}
}
