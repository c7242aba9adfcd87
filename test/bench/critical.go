package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// resource is what the critical path needs of a resource in an exported state.
type resource struct {
	URN      string `json:"urn"`
	Type     string `json:"type"`
	Custom   bool   `json:"custom"`
	Provider string `json:"provider"`
	// Created is when the engine had finished creating it, waiting for readiness included.
	Created              *time.Time          `json:"created"`
	Dependencies         []string            `json:"dependencies"`
	PropertyDependencies map[string][]string `json:"propertyDependencies"`
}

// needs are the resources that had to be there before this one could be created. What a Service waits for is in no state: the
// provider creates it at once and then waits until a pod answers behind it.
func (r resource) needs(workloads []string) []string {
	provider := r.Provider
	if at := strings.LastIndex(provider, "::"); at >= 0 {
		provider = provider[:at] // Behind the URN stands the provider's id.
	}
	needs := append(slices.Clone(r.Dependencies), provider)
	for _, more := range r.PropertyDependencies {
		needs = append(needs, more...)
	}
	if strings.HasSuffix(r.Type, ":Service") {
		needs = append(needs, workloads...)
	}
	return needs
}

// name is the resource's kind and its name in the program.
func (r resource) name() string {
	parts := strings.Split(r.URN, "::")
	if kind, found := strings.CutPrefix(r.Type, "pulumi:providers:"); found {
		return kind + " provider"
	}
	return r.Type[strings.LastIndex(r.Type, ":")+1:] + " " + parts[len(parts)-1]
}

// step is one resource of the critical path.
type step struct {
	Name string `json:"name"`
	// Seconds from the moment at which all that it needs was there to its own readiness.
	Seconds float64 `json:"seconds"`
}

// criticalPath returns the chain of resources that an up had to wait for one after the other, from its start to the
// resource that was finished last, and how many resources there are in all. Everything else was created beside it.
func criticalPath(state []byte, start time.Time) (path []step, total int, err error) {
	var exported struct {
		Deployment struct {
			Resources []resource `json:"resources"`
		} `json:"deployment"`
	}
	if err := json.Unmarshal(state, &exported); err != nil {
		return nil, 0, fmt.Errorf("parse state: %w", err)
	}
	created := map[string]resource{}
	var workloads []string
	var last resource
	for _, r := range exported.Deployment.Resources {
		if !r.Custom || r.Created == nil {
			continue // Components are names; what they stand for is in the list as well.
		}
		created[r.URN] = r
		if strings.HasSuffix(r.Type, ":Deployment") {
			workloads = append(workloads, r.URN)
		}
		if last.Created == nil || r.Created.After(*last.Created) {
			last = r
		}
	}
	if last.Created == nil {
		return nil, 0, fmt.Errorf("none of %d resources in the state says when it was created", len(exported.Deployment.Resources))
	}
	for current := last; current.Created != nil; {
		since, before := start, current.slowestNeed(created, workloads)
		if before.Created != nil {
			since = *before.Created
		}
		path = append(path, step{Name: current.name(), Seconds: current.Created.Sub(since).Seconds()})
		current = before
	}
	slices.Reverse(path)
	return path, len(created), nil
}

// slowestNeed returns what the resource had to wait for longest; a resource without a time if it waited for none.
func (r resource) slowestNeed(created map[string]resource, workloads []string) resource {
	var slowest resource
	for _, urn := range r.needs(workloads) {
		need, known := created[urn]
		if known && need.Created.Before(*r.Created) && (slowest.Created == nil || need.Created.After(*slowest.Created)) {
			slowest = need
		}
	}
	return slowest
}
