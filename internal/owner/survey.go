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

// providerManager is how the field manager of Pulumi's Kubernetes provider begins.
const providerManager = "pulumi-kubernetes"

// surveyTimeout bounds all requests together.
const surveyTimeout = 30 * time.Second

// declaration is an object that the program is going to create, or a sign of another installation of the same.
type declaration struct {
	Object
	part   Part
	isSign bool
}

// identity is what a stack's objects are marked with.
type identity struct{ name, number string }

// observed is what an existing object says of its owner.
type observed struct {
	Metadata struct {
		Annotations       map[string]string `json:"annotations"`
		Labels            map[string]string `json:"labels"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
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

// isDoubtful reports whether an object may be the stack's without a mark: Pulumi wrote it, and nobody marked it. Then the state
// is used: the engine does not create what the state has.
func (o observed) isDoubtful() bool {
	if o.Metadata.Annotations[StackAnnotation]+o.Metadata.Annotations[OwnerAnnotation] != "" {
		return false
	}
	for _, field := range o.Metadata.ManagedFields {
		if strings.HasPrefix(field.Manager, providerManager) {
			return true
		}
	}
	return false
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
	stack identity
	// list is what is provably not the stack's.
	list []finding
	// doubtful is what is not the stack's if it would be created, and leaving what is the stack's and being deleted.
	doubtful, leaving []finding
	err               error
}

// survey asks for every declared object and returns those that exist and are not the stack's.
func survey(cluster *live.Cluster, declared []declaration, stack identity) findings {
	ctx, cancel := context.WithTimeout(context.Background(), surveyTimeout)
	defer cancel()
	answers := make([]answer, len(declared))
	ask(ctx, cluster, declared, answers, func(one declaration) bool { return one.Namespace == "" })
	// Objects in a namespace that does not exist need not be looked up.
	absent, ours := map[string]bool{}, map[string]bool{}
	for i, one := range declared {
		if one.Kind == namespaceKind {
			absent[one.Name] = answers[i].object == nil && answers[i].err == nil
			ours[one.Name] = answers[i].object != nil && answers[i].object.belongsTo(stack)
		}
	}
	ask(ctx, cluster, declared, answers, func(one declaration) bool { return one.Namespace != "" && !absent[one.Namespace] })
	result := findings{stack: stack}
	for i, one := range declared {
		isOurSign := one.isSign && ours[one.part.Namespace]
		switch {
		case answers[i].err != nil:
			return findings{err: fmt.Errorf("look whether %s exists already: %w", one.Object, answers[i].err)}
		case answers[i].object != nil && !isOurSign:
			result.judge(one, *answers[i].object)
		}
	}
	return result
}

// answer is the result of looking up an object; with neither object nor error it does not exist.
type answer struct {
	object *observed
	err    error
}

// ask looks up the declared objects for which wanted is true, concurrently.
func ask(ctx context.Context, cluster *live.Cluster, declared []declaration, answers []answer, wanted func(declaration) bool) {
	var asking sync.WaitGroup
	for i, one := range declared {
		if !wanted(one) {
			continue
		}
		asking.Go(func() {
			var object observed
			exists, err := cluster.Get(ctx, one.path(), &object)
			answers[i].err = err
			if exists {
				answers[i].object = &object
			}
		})
	}
	asking.Wait()
}

func (f *findings) judge(one declaration, object observed) {
	found := finding{one, object.owner()}
	leaving := object.Metadata.DeletionTimestamp != nil
	if leaving {
		found.owner += ", being deleted"
	}
	switch {
	case !one.isSign && object.belongsTo(f.stack):
		if leaving {
			f.leaving = append(f.leaving, found)
		}
	case !one.isSign && object.isDoubtful():
		f.doubtful = append(f.doubtful, found)
	default:
		f.list = append(f.list, found)
	}
}

// isLeaving reports whether an object is the stack's and being deleted.
func (f findings) isLeaving(one declaration) bool {
	return slices.ContainsFunc(f.leaving, func(found finding) bool { return found.Object == one.Object })
}

// refusalOf returns the error for an object that is about to be created, and so is not in the state; nil if it may be created.
func (f findings) refusalOf(one declaration, stack string) error {
	is := func(found finding) bool { return found.Object == one.Object }
	if f.isLeaving(one) {
		inNamespace := ""
		if one.Namespace != "" {
			inNamespace = "-n " + one.Namespace + " "
		}
		return fmt.Errorf("%s is this stack's and has been on its way out for %.0f s: kubectl %sget %s %s -o yaml shows by its finalizers what it "+
			"waits for. Once it is gone, run this again", one.Object, leaveBudget.Seconds(), inNamespace, strings.ToLower(one.Kind), one.Name)
	}
	others := findings{list: slices.DeleteFunc(slices.Concat(f.list, f.doubtful), func(found finding) bool { return !is(found) })}
	return others.refusal(one.Name, stack, true)
}

// refusal returns the error for a resource that is about to be created, or nil. One conflict stops all,
// so that no stack is created partly. The first error lists everything; the engine may call the hook for other resources before
// it stops.
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
	unmarked := false
	for _, one := range f.list {
		unmarked = unmarked || strings.Contains(one.owner, providerManager)
		lines = append(lines, fmt.Sprintf("  - %s: %s", one.Object, one.owner))
		text, special := one.part.Advice[one.Kind]
		if !special {
			text = one.part.Advice[""]
		}
		if line := "  - " + text; text != "" && !slices.Contains(advice, line) {
			advice = append(advice, line)
		}
	}
	if unmarked {
		// First in the list: the advice for other people's objects would delete a stack's own data.
		advice = append([]string{"  - what Pulumi has made without a mark may be this stack's, from a state that was lost or an older " +
			"program: then give it to the stack, as below, and delete nothing"}, advice...)
	}
	advice = append(advice, fmt.Sprintf("  - to give an object to this stack, which then changes it and on destroy deletes it: kubectl annotate "+
		"--overwrite KIND NAME %s=%s %s- (also after pulumi import)", StackAnnotation, stack, OwnerAnnotation))
	return fmt.Sprintf("the cluster already has %d of the objects that this stack would create, and they are not this stack's; "+
		"none of them was touched:\n%s\nwhat to do, one of:\n%s", len(lines), strings.Join(lines, "\n"), strings.Join(advice, "\n"))
}
