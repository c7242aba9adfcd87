package snapshots

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// What Longhorn calls its pods and labels (longhorn-manager types/types.go).
const (
	sidecarApp  = "csi-snapshotter"
	managerApp  = "longhorn-manager"
	volumeLabel = "backup-volume"
	targetLabel = "backup-target"

	volumes   = "volumes"
	snapshots = "snapshots"
	backups   = "backups"
	targets   = "backuptargets"
)

// namespaceOf returns the namespace in which a pod of the app is ready; "" if none is.
func (c clients) namespaceOf(ctx context.Context, app string) (string, error) {
	pods, err := c.core.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return "", fmt.Errorf("list pods of %s: %w", app, err)
	}
	for i := range pods.Items {
		if ready(&pods.Items[i]) {
			return pods.Items[i].Namespace, nil
		}
	}
	return "", nil
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// errNoManager is what the driver hears while no manager answers at the address of their Service.
var errNoManager = errors.New("Get \"http://longhorn-backend:9500/v1\": connect: connection refused") //nolint:staticcheck // net/http's own words

// answers reports an error while no longhorn-manager runs: the driver asks one for everything.
func (d *driver) answers(ctx context.Context) error {
	namespace, err := d.namespaceOf(ctx, managerApp)
	if err == nil && namespace != d.namespace {
		err = errNoManager
	}
	return err
}

func (d *driver) kind(plural string) dynamic.ResourceInterface {
	return d.objects.Resource(schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: plural}).Namespace(d.namespace)
}

// get returns nil if there is no such object.
func (d *driver) get(ctx context.Context, plural, name string) (*unstructured.Unstructured, error) {
	object, err := d.kind(plural).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // Absence is an answer here.
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", plural, name, err)
	}
	return object, nil
}

func (d *driver) create(ctx context.Context, plural, kind, name string, labels map[string]string, spec map[string]any) error {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kind)
	object.SetName(name)
	object.SetLabels(labels)
	if _, err := d.kind(plural).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create %s %s: %w", plural, name, err)
	}
	return nil
}

// remove deletes an object; one that is gone is fine.
func (d *driver) remove(ctx context.Context, plural, name string) error {
	err := d.kind(plural).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", plural, name, err)
	}
	return nil
}

// text is a text field of an object; "" if it has none.
func text(object *unstructured.Unstructured, fields ...string) string {
	found, _, err := unstructured.NestedString(object.Object, fields...)
	if err != nil {
		return ""
	}
	return found
}
