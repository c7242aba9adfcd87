// Package owner marks what belongs to the stack in the cluster, and refuses to take over what does not.
//
// The Kubernetes provider creates with server-side apply, which takes an object that exists already for the one it was to
// create (pulumi-kubernetes#2926; later releases than the one that this program is tested with create for real, #4278).
// A destroy deletes objects adopted that way. So before the first object is created, in previews too, all of them are looked up
// in the cluster. When nothing is to be created, no request is sent.
package owner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

// The annotations by which an object is known.
const (
	// StackAnnotation names the stack: ORGANIZATION/PROJECT/STACK. On an object without OwnerAnnotation it is the way to
	// hand an existing object over to a stack.
	StackAnnotation = "ha-iris/stack"
	// OwnerAnnotation is the stack's own number. Names are not enough: two people with states of their own may each call
	// their stack "dev".
	OwnerAnnotation = "ha-iris/owner"
	// ClusterAnnotation, on namespaces, is the cluster that the stack is on.
	ClusterAnnotation = "ha-iris/cluster"
	// forceAnnotation makes the provider's updates override manual changes of the fields that this program sets. It is only on
	// objects of the stack, because that was checked before they were created.
	forceAnnotation = "pulumi.com/patchForce"
)

// declareTimeout bounds the wait for the program to declare what it creates. It takes milliseconds; without a bound,
// a program that ended early would leave the engine waiting.
const declareTimeout = 10 * time.Second

const (
	// leaveBudget is how long an up waits for an object of the stack's own that is being deleted: a DaemonSet waits for its pods, and each of
	// those up to its grace period.
	leaveBudget = 2 * time.Minute
	leaveTick   = time.Second
	leaveReport = 10 * time.Second
)

// Stack is the stack as the owner of objects in its cluster. A nil one marks and checks nothing.
type Stack struct {
	name   string
	number pulumi.StringOutput
	// clusterUID is that of the cluster that the stack is on now.
	clusterUID pulumi.StringOutput
	cluster    *live.Cluster
	preview    bool
	option     pulumi.ResourceOption
	// say writes a line of the run; now and pause are those of a clock.
	say   func(string)
	now   func() time.Time
	pause func(context.Context, time.Duration) error

	// knownNumber is number, once it is known.
	knownNumber chan string
	complete    chan struct{}
	once        sync.Once
	found       findings

	mu       sync.Mutex
	declared []declaration
}

// Part is what one component creates.
type Part struct {
	// Namespace is the one that its objects are in.
	Namespace string
	// Advice says what to set when its objects exist already, for objects of each kind; the entry "" is for all others.
	Advice map[string]string
	// Signs are objects that come with what the part installs without being its own. They show that somebody else has
	// installed the same, unless the part's namespace is the stack's.
	Signs []Object
}

// New returns the stack that the program runs for. cluster can be used once its kubeconfig is known; clusterUID is the uid of its
// namespace kube-system, which lives as long as the cluster. Complete must be called after everything was registered.
func New(ctx *pulumi.Context, cluster *live.Cluster, clusterUID pulumi.StringOutput) (*Stack, error) {
	drawn := make([]byte, 8)
	if _, err := rand.Read(drawn); err != nil {
		return nil, fmt.Errorf("draw a number for the stack: %w", err)
	}
	// The state keeps the number that was drawn first. Those of later runs are ignored, or each would be a change.
	stash, err := pulumi.NewStash(ctx, "owner", &pulumi.StashArgs{Input: pulumi.String(hex.EncodeToString(drawn))},
		pulumi.IgnoreChanges([]string{"input"}))
	if err != nil {
		return nil, fmt.Errorf("keep the stack's number: %w", err)
	}
	s := &Stack{
		name:        fmt.Sprintf("%s/%s/%s", ctx.Organization(), ctx.Project(), ctx.Stack()),
		clusterUID:  clusterUID,
		cluster:     cluster,
		preview:     ctx.DryRun(),
		say:         func(text string) { _ = ctx.Log.Info(text, nil) }, // A failure to log does not stop the run.
		now:         time.Now,
		pause:       clock.Pause,
		knownNumber: make(chan string, 1),
		complete:    make(chan struct{}),
	}
	s.number = stash.Output.ApplyT(func(value any) (string, error) {
		number, isText := value.(string)
		if !isText {
			return "", fmt.Errorf("the stack's number is %T, not a string", value)
		}
		s.knownNumber <- number
		return number, nil
	}).(pulumi.StringOutput)
	return s, s.registerHooks(ctx)
}

func (s *Stack) registerHooks(ctx *pulumi.Context) error {
	options := &pulumi.ResourceHookOptions{OnDryRun: true}
	create, err := ctx.RegisterResourceHook("ha-iris-owner", s.beforeCreate, options)
	if err != nil {
		return fmt.Errorf("register hook ha-iris-owner: %w", err)
	}
	update, err := ctx.RegisterResourceHook("ha-iris-cluster", s.beforeUpdate, options)
	if err != nil {
		return fmt.Errorf("register hook ha-iris-cluster: %w", err)
	}
	s.option = pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
		BeforeCreate: []*pulumi.ResourceHook{create}, BeforeUpdate: []*pulumi.ResourceHook{update},
	})
	return nil
}

// Of returns the option of a component by which its objects are marked and checked.
func (s *Stack) Of(part Part) pulumi.ResourceOption {
	if s == nil {
		return pulumi.Transformations(nil)
	}
	for _, sign := range part.Signs {
		s.declare(declaration{Object: sign, part: part, isSign: true})
	}
	return pulumi.Transformations([]pulumi.ResourceTransformation{func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		if !strings.HasPrefix(args.Type, "kubernetes:") {
			return nil
		}
		if object, known := s.mark(args.Type, args.Props, part); known {
			s.declare(declaration{Object: object, part: part})
		}
		return &pulumi.ResourceTransformationResult{Props: args.Props, Opts: append(append([]pulumi.ResourceOption{}, args.Opts...), s.option)}
	}})
}

// Name is the stack's full name, as it stands in StackAnnotation.
func (s *Stack) Name() string { return s.name }

// Marks are the stack's name and number, for what marks objects in the cluster itself; empty of a nil one.
func (s *Stack) Marks() (name, number pulumi.StringInput) {
	if s == nil {
		return pulumi.String(""), pulumi.String("")
	}
	return pulumi.String(s.name), s.number
}

// Complete records that every object was declared.
func (s *Stack) Complete() { close(s.complete) }

func (s *Stack) declare(one declaration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.declared = append(s.declared, one)
}

// beforeCreate is called by the engine before each object is created, in a preview when it would be. The first call looks up
// all objects at once. In an up each object is looked up once more, because the installation of the storage lies between.
func (s *Stack) beforeCreate(change *pulumi.ResourceHookArgs) error {
	if !s.cluster.Known() {
		return nil // A preview in which the cluster is new, too.
	}
	found, first := s.lookOnce()
	if found.err != nil {
		return found.err
	}
	if err := found.refusal(change.Name, s.name, first); err != nil {
		return err
	}
	one, known := s.declaredAs(change)
	if !known {
		return nil
	}
	if s.preview {
		if found.isLeaving(one) {
			s.say(fmt.Sprintf("%s is this stack's and still being deleted: an up waits until it is gone", one.Object))
			return nil
		}
		return found.refusalOf(one, s.name)
	}
	found, err := s.left(one, found.stack)
	if err != nil {
		return err
	}
	return found.refusalOf(one, s.name)
}

// left looks an object up, and while it is the stack's and being deleted, again. A destroy does not wait for every kind to be gone, and the
// up after one that was stopped must not fail for that.
func (s *Stack) left(one declaration, stack identity) (findings, error) {
	watch := clock.Watch{
		Budget: leaveBudget, Tick: leaveTick, Report: leaveReport, Now: s.now, Pause: s.pause,
		Say: func(state string, waited time.Duration) {
			s.say(fmt.Sprintf("Waiting for %.0f s: %s", waited.Seconds(), state))
		},
	}
	var found findings
	_, _, err := watch.Until(context.Background(), func() clock.Found {
		found = survey(s.cluster, []declaration{one}, stack)
		return clock.Found{Done: found.err != nil || !found.isLeaving(one), State: one.String() + " of this stack is being deleted"}
	})
	return found, errors.Join(err, found.err)
}

// beforeUpdate is called before each object is updated, in a preview when it would be. An object of the stack's cluster that the
// state has may still not be the stack's: a refresh reads whatever has its name.
func (s *Stack) beforeUpdate(change *pulumi.ResourceHookArgs) error {
	if err := s.refuseOtherCluster(change); err != nil {
		return err
	}
	return refuseOtherOwner(change)
}

// lookOnce calls look at the first call and returns its result.
func (s *Stack) lookOnce() (found findings, first bool) {
	s.once.Do(func() {
		first = true
		s.found = s.look()
	})
	return s.found, first
}

// declaredAs returns what was declared of a resource; false if it is not a declared object.
func (s *Stack) declaredAs(change *pulumi.ResourceHookArgs) (declaration, bool) {
	object := objectOf(string(change.Type), &metav1.ObjectMetaArgs{
		Name: pulumi.String(guard.InputsOf(change.NewInputs).Text("metadata", "name")),
	}, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.declared {
		if !one.isSign && one.APIVersion == object.APIVersion && one.Kind == object.Kind && one.Name == object.Name {
			return one, true
		}
	}
	return declaration{}, false
}

// look waits until everything was declared and looks up all of it at once.
func (s *Stack) look() findings {
	deadline := time.After(declareTimeout)
	var number string
	for waiting := s.complete; ; {
		select {
		case <-waiting:
			waiting = nil
		case number = <-s.knownNumber:
		case <-deadline:
			return findings{err: errors.New("the program did not say in time what it creates")}
		}
		if waiting == nil && number != "" {
			break
		}
	}
	s.mu.Lock()
	declared := append([]declaration(nil), s.declared...)
	s.mu.Unlock()
	return survey(s.cluster, declared, identity{name: s.name, number: number})
}
