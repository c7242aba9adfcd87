package snapshots

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// kindFiles are those of VolumeSnapshots, without those of groups, which no cloud has switched on and Longhorn cannot take.
const kindFiles = "snapshot.storage.k8s.io_*.yaml"

// establishPatience is how long the API server may take to serve a kind. It takes a second.
const establishPatience = time.Minute

func definitions() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

// applyKinds brings the kinds into the cluster and waits until it has them.
func applyKinds(ctx context.Context, objects dynamic.Interface, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, kindFiles))
	if err == nil && len(files) == 0 {
		err = errors.New("none is there")
	}
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", kindFiles, dir, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the definition of a kind: %w", err)
		}
		definition := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(content, &definition.Object); err != nil {
			return fmt.Errorf("read %s: %w", filepath.Base(file), err)
		}
		unstructured.RemoveNestedField(definition.Object, "status")
		name := definition.GetName()
		_, err = objects.Resource(definitions()).Apply(ctx, name, definition, metav1.ApplyOptions{FieldManager: "sandbox", Force: true})
		if err != nil {
			return fmt.Errorf("apply the kind %s: %w", name, err)
		}
		if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, establishPatience, true, func(ctx context.Context) (bool, error) {
			return established(ctx, objects, name)
		}); err != nil {
			return fmt.Errorf("wait for the kind %s: %w", name, err)
		}
	}
	return nil
}

func established(ctx context.Context, objects dynamic.Interface, name string) (bool, error) {
	definition, err := objects.Resource(definitions()).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read the kind %s: %w", name, err)
	}
	conditions, _, err := unstructured.NestedSlice(definition.Object, "status", "conditions")
	if err != nil {
		return false, nil //nolint:nilerr // A new one has null there.
	}
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok && fields["type"] == "Established" {
			return fields["status"] == "True", nil
		}
	}
	return false, nil
}
