// Package kube is the drill's way to the cluster: objects as they are, watches that last, and commands in containers.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// requestTimeout bounds a request. While a node is lost, what the API server asks of it, such as a command, hangs; its own objects
// never take that long.
const requestTimeout = 15 * time.Second

// Kind is a kind of objects, as the API's paths have it: GROUP/VERSION/RESOURCE, without the group for the oldest.
type Kind string

// The kinds that a drill has to do with.
const (
	Nodes             Kind = "v1/nodes"
	Pods              Kind = "v1/pods"
	Claims            Kind = "v1/persistentvolumeclaims"
	PersistentVolumes Kind = "v1/persistentvolumes"
	Services          Kind = "v1/services"
	Events            Kind = "v1/events"
	EndpointSlices    Kind = "discovery.k8s.io/v1/endpointslices"
	Attachments       Kind = "storage.k8s.io/v1/volumeattachments"
	Deployments       Kind = "apps/v1/deployments"
	Leases            Kind = "coordination.k8s.io/v1/leases"
	LonghornVolumes   Kind = "longhorn.io/v1beta2/volumes"
	LonghornReplicas  Kind = "longhorn.io/v1beta2/replicas"
	LonghornEngines   Kind = "longhorn.io/v1beta2/engines"
)

func (k Kind) resource() schema.GroupVersionResource {
	parts := strings.Split(string(k), "/")
	if len(parts) == 2 {
		parts = append([]string{""}, parts...)
	}
	return schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
}

// String is the resource alone, for messages.
func (k Kind) String() string { return k.resource().Resource }

// Client talks to one cluster.
type Client struct {
	config  *rest.Config
	dynamic dynamic.Interface
}

// Target is the cluster that a kubeconfig leads to.
type Target struct {
	Context, Server string
}

// Connect reads a kubeconfig; an empty path is kubectl's own choice, an empty context the current one. It sends nothing yet.
func Connect(path, wanted string) (*Client, Target, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: wanted})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, Target{}, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if wanted == "" {
		wanted = raw.CurrentContext
	}
	if _, found := raw.Contexts[wanted]; !found {
		return nil, Target{}, fmt.Errorf("read the kubeconfig: there is no context %q in it", wanted)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, Target{}, fmt.Errorf("read the kubeconfig: %w", err)
	}
	client, err := New(config)
	return client, Target{Context: wanted, Server: config.Host}, err
}

// New is a client for a configuration.
func New(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // What a drill sends is little; waiting for a turn would distort its times.
	config.UserAgent = "ha-iris-drill"
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig: %w", err)
	}
	return &Client{config: config, dynamic: client}, nil
}

func (c *Client) in(kind Kind, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.dynamic.Resource(kind.resource())
	}
	return c.dynamic.Resource(kind.resource()).Namespace(namespace)
}

// Get reads an object.
func (c *Client) Get(ctx context.Context, kind Kind, namespace, name string) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	object, err := c.in(kind, namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return object, nil
}

// List reads the objects that a label selector chooses.
func (c *Client) List(ctx context.Context, kind Kind, namespace, selector string) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := c.in(kind, namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	return list, nil
}

// Create makes an object, or a subresource of one.
func (c *Client) Create(
	ctx context.Context, kind Kind, namespace string, object map[string]any, subresources ...string,
) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.in(kind, namespace).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}, subresources...)
}

// Update writes an object back, if it is still the one that was read.
func (c *Client) Update(
	ctx context.Context, kind Kind, namespace string, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.in(kind, namespace).Update(ctx, object, metav1.UpdateOptions{})
}

// Patch merges a document into an object (RFC 7396).
func (c *Client) Patch(ctx context.Context, kind Kind, namespace, name string, patch map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode the patch: %w", err)
	}
	if _, err := c.in(kind, namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("change %s %s: %w", kind, name, err)
	}
	return nil
}

// Delete deletes an object if it is still the one with this UID; with its own grace period. It is no error when it is gone.
func (c *Client) Delete(ctx context.Context, kind Kind, namespace, name string, uid types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := metav1.DeleteOptions{}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := c.in(kind, namespace).Delete(ctx, name, options)
	if err != nil && !IsGone(err) {
		return fmt.Errorf("delete %s %s: %w", kind, name, err)
	}
	return nil
}

// IsGone says whether an error is that the object, or its kind, does not exist.
func IsGone(err error) bool {
	return errors.As(err, new(*apierrors.StatusError)) && apierrors.IsNotFound(err)
}

// Into reads an object as a typed one.
func Into[T any](object *unstructured.Unstructured) (*T, error) {
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return typed, nil
}
