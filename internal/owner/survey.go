package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ha-iris/internal/live"
)

// surveyTimeout bounds all questions together.
const surveyTimeout = 30 * time.Second

// declaration is an object that the program is going to create, or that tells of another installation of the same.
type declaration struct {
	Object
	part   Part
	isSign bool
}

// identity is how a stack's objects are known.
type identity struct{ name, number string }

// observed is what an existing object says of its owner.
type observed struct {
	Metadata struct {
		Annotations       map[string]string `json:"annotations"`
		Labels            map[string]string `json:"labels"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		ManagedFields     []struct {
			Manager string `json:"manager"`
		} `json:"managedFields"`
	} `json:"metadata"`
}

// belongsTo reports whether an object is provably a stack's: created by it, or given to it by name.
func (o observed) belongsTo(stack identity) bool {
	if number := o.Metadata.Annotations[OwnerAnnotation]; number != "" {
		return number == stack.number
	}
	return o.Metadata.Annotations[StackAnnotation] == stack.name
}

// owner says whose an object is, as far as that can be seen.
func (o observed) owner() string {
	annotations, labels := o.Metadata.Annotations, o.Metadata.Labels
	var managers []string
	for _, field := range o.Metadata.ManagedFields {
		if !slices.Contains(managers, field.Manager) {
			managers = append(managers, field.Manager)
		}
	}
	owner := "somebody else's"
	switch {
	case annotations[StackAnnotation] != "":
		owner = "of stack " + annotations[StackAnnotation]
		if number := annotations[OwnerAnnotation]; number != "" {
			owner += " (number " + number + ")"
		}
	case annotations["meta.helm.sh/release-name"] != "":
		owner = fmt.Sprintf("of Helm release %s/%s", annotations["meta.helm.sh/release-namespace"], annotations["meta.helm.sh/release-name"])
	case annotations["argocd.argoproj.io/tracking-id"] != "":
		owner = "of Argo CD application " + strings.SplitN(annotations["argocd.argoproj.io/tracking-id"], ":", 2)[0]
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		owner = "of Flux kustomization " + labels["kustomize.toolkit.fluxcd.io/name"]
	case labels["app.kubernetes.io/managed-by"] != "":
		owner = "managed by " + labels["app.kubernetes.io/managed-by"]
	case len(managers) > 0:
		owner = "written by " + strings.Join(managers, ", ")
	}
	if o.Metadata.CreationTimestamp.IsZero() {
		return owner
	}
	return owner + ", created " + o.Metadata.CreationTimestamp.UTC().Format(time.DateOnly)
}

// finding is an object that is in the way.
type finding struct {
	declaration
	owner string
}

// findings is what was found in the cluster.
type findings struct {
	list []finding
	err  error
}

// survey asks for every declared object and returns those that exist and are not the stack's.
func survey(cluster *live.Cluster, declared []declaration, stack identity) findings {
	ctx, cancel := context.WithTimeout(context.Background(), surveyTimeout)
	defer cancel()
	answers := make([]*observed, len(declared))
	failures := make([]error, len(declared))
	ask := func(wanted func(declaration) bool) {
		var asking sync.WaitGroup
		for i, one := range declared {
			if !wanted(one) {
				continue
			}
			asking.Go(func() {
				var object observed
				exists, err := cluster.Get(ctx, one.path(), &object)
				failures[i] = err
				if exists {
					answers[i] = &object
				}
			})
		}
		asking.Wait()
	}
	ask(func(one declaration) bool { return one.Namespace == "" })
	// In a namespace that is not there is nothing.
	absent, ours := map[string]bool{}, map[string]bool{}
	for i, one := range declared {
		if one.Kind == namespaceKind {
			absent[one.Name] = answers[i] == nil && failures[i] == nil
			ours[one.Name] = answers[i] != nil && answers[i].belongsTo(stack)
		}
	}
	ask(func(one declaration) bool { return one.Namespace != "" && !absent[one.Namespace] })
	result := findings{}
	for i, one := range declared {
		switch {
		case failures[i] != nil:
			return findings{err: fmt.Errorf("look whether %s exists already: %w", one.Object, failures[i])}
		case answers[i] == nil, one.isSign && ours[one.part.Namespace], !one.isSign && answers[i].belongsTo(stack):
		default:
			result.list = append(result.list, finding{one, answers[i].owner()})
		}
	}
	return result
}

// refusal returns the error for a resource that is about to be created, or nil. Whatever is in the way of one stops all: a
// stack that is half there and half somebody else's helps nobody. The first one lists everything; the engine may ask for
// others before it stops.
func (f findings) refusal(name, stack string, first bool) error {
	switch {
	case len(f.list) == 0:
		return nil
	case !first:
		return fmt.Errorf("%s is not created either", name)
	default:
		return errors.New(f.describe(stack))
	}
}

// describe lists every object that is in the way, whose it is and what to do.
func (f findings) describe(stack string) string {
	var lines, advice []string
	for _, one := range f.list {
		lines = append(lines, fmt.Sprintf("  - %s: %s", one.Object, one.owner))
		text, special := one.part.Advice[one.Kind]
		if !special {
			text = one.part.Advice[""]
		}
		if line := "  - " + text; text != "" && !slices.Contains(advice, line) {
			advice = append(advice, line)
		}
	}
	advice = append(advice, fmt.Sprintf("  - to give an object to this stack, which then changes it and on destroy deletes it: kubectl annotate "+
		"--overwrite KIND NAME %s=%s %s- (also after pulumi import)", StackAnnotation, stack, OwnerAnnotation))
	return fmt.Sprintf("the cluster already has %d of the objects that this stack would create, and they are not this stack's; "+
		"none of them was touched:\n%s\nwhat to do, one of:\n%s", len(lines), strings.Join(lines, "\n"), strings.Join(advice, "\n"))
}
