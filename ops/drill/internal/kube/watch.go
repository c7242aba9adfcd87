package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// Watcher is told what happens to objects.
type Watcher struct {
	Kind                Kind
	Namespace, Selector string
	// Listed gets all objects whenever a watch begins.
	Listed func(at time.Time, objects []*unstructured.Unstructured)
	// Changed gets each change from then on.
	Changed func(at time.Time, object *unstructured.Unstructured, deleted bool)
}

// between are the times between two tries to watch: what happens meanwhile is seen late.
const between = 500 * time.Millisecond

// Watch calls the watcher until the context ends. A watch that breaks begins again with a list.
func (c *Client) Watch(ctx context.Context, w Watcher) {
	for ctx.Err() == nil {
		c.watchOnce(ctx, w)
		select {
		case <-ctx.Done():
		case <-time.After(between):
		}
	}
}

func (c *Client) watchOnce(ctx context.Context, w Watcher) {
	list, err := c.List(ctx, w.Kind, w.Namespace, w.Selector)
	if err != nil {
		return
	}
	objects := make([]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
	}
	w.Listed(time.Now(), objects)
	stream, err := c.in(w.Kind, w.Namespace).Watch(ctx, metav1.ListOptions{
		LabelSelector: w.Selector, ResourceVersion: list.GetResourceVersion(),
	})
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type == watch.Error || event.Type == watch.Bookmark {
			return
		}
		w.Changed(time.Now(), object, event.Type == watch.Deleted)
	}
}
