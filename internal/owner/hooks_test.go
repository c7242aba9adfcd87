package owner

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
)

// newStack returns a stack that has declared everything.
func newStack(t *testing.T, server *apiServer) *Stack {
	t.Helper()
	s := &Stack{
		name: us.name, cluster: server.start(t), knownNumber: make(chan string, 1), complete: make(chan struct{}), declared: declared(),
		say: func(string) {}, now: time.Now, pause: clock.Pause,
	}
	s.knownNumber <- us.number
	s.Complete()
	return s
}

// written is an object that Pulumi's provider has made, with annotations or without.
func written(annotations ...string) map[string]any {
	object := annotated(annotations...)
	object["managedFields"] = []any{map[string]any{"manager": "pulumi-kubernetes-1a2b3c4d"}}
	return object
}

func change(kind, name string) *pulumi.ResourceHookArgs {
	return &pulumi.ResourceHookArgs{
		Name: name, Type: tokens.Type("kubernetes:" + kind),
		NewInputs: resource.NewPropertyMapFromMap(map[string]any{"metadata": map[string]any{"name": name}}),
	}
}

// An object of the stack's own that has lost its mark is no reason to stop, as long as it would not be created.
func TestBeforeCreate_LeavesUnmarkedObjectsOfTheStateAlone(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		s := newStack(t, &apiServer{objects: map[string]map[string]any{namespace.path(): written(), claim.path(): written()}})
		s.preview = preview
		if err := s.beforeCreate(change("storage.k8s.io/v1:StorageClass", class.Name)); err != nil {
			t.Errorf("preview %t: the class, which is new: %v", preview, err)
		}
		err := s.beforeCreate(change("core/v1:PersistentVolumeClaim", claim.Name))
		if err == nil || !strings.Contains(err.Error(), "PersistentVolumeClaim iris/iris-pvc: written by pulumi-kubernetes") ||
			!strings.Contains(err.Error(), "delete nothing") {
			t.Errorf("preview %t: the claim, which the state does not have: %v", preview, err)
		}
	}
}

// Between the first object and the last lie the minutes of Longhorn's installation.
func TestBeforeCreate_AsksAgainInAnUp(t *testing.T) {
	t.Parallel()
	server := &apiServer{objects: map[string]map[string]any{}}
	s := newStack(t, server)
	if err := s.beforeCreate(change("core/v1:Namespace", namespace.Name)); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	server.objects[claim.path()] = annotated(StackAnnotation, "organization/ha-iris/other", OwnerAnnotation, "ffff")
	server.mu.Unlock()
	err := s.beforeCreate(change("core/v1:PersistentVolumeClaim", claim.Name))
	if err == nil || !strings.Contains(err.Error(), "of stack organization/ha-iris/other (number ffff)") {
		t.Errorf("got %v", err)
	}
}

// A destroy does not wait until all is gone.
func TestBeforeCreate_WaitsForWhatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	leaving := annotated(OwnerAnnotation, us.number)
	leaving["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	others := annotated(StackAnnotation, "organization/ha-iris/other", OwnerAnnotation, "ffff")
	for name, test := range map[string]struct {
		preview bool
		// then is what is there after a while; nil: the object does not go.
		then map[string]map[string]any
		want string
		said string
	}{
		"it goes":                 {then: map[string]map[string]any{}, said: "Waiting for 0 s: StorageClass"},
		"it does not go":          {want: "has been on its way out for 120 s", said: "Waiting for 110 s"},
		"somebody else makes one": {then: map[string]map[string]any{class.path(): others}, want: "of stack organization/ha-iris/other"},
		"a preview does not wait": {preview: true, said: "still being deleted: an up waits"},
	} {
		server := &apiServer{objects: map[string]map[string]any{class.path(): leaving}}
		s := newStack(t, server)
		var said strings.Builder
		now := time.Now()
		s.preview = test.preview
		s.say = func(text string) { said.WriteString(text + "\n") }
		s.now = func() time.Time { return now }
		s.pause = func(_ context.Context, length time.Duration) error {
			now = now.Add(length)
			if test.then != nil {
				server.mu.Lock()
				server.objects = test.then
				server.mu.Unlock()
			}
			return nil
		}
		if err := s.beforeCreate(change("core/v1:Namespace", namespace.Name)); err != nil {
			t.Errorf("%s: another object: %v", name, err)
		}
		err := s.beforeCreate(change("storage.k8s.io/v1:StorageClass", class.Name))
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: want %q, got %v", name, test.want, err)
		}
		if !strings.Contains(said.String(), test.said) {
			t.Errorf("%s: said %q, want %q", name, said.String(), test.said)
		}
	}
}

func TestBeforeUpdate_RefusesAnObjectOfAnotherStack(t *testing.T) {
	t.Parallel()
	marks := func(pairs ...any) resource.PropertyMap {
		annotations := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			annotations[pairs[i].(string)] = pairs[i+1]
		}
		return resource.NewPropertyMapFromMap(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	}
	ours := marks(StackAnnotation, us.name, OwnerAnnotation, us.number)
	for name, test := range map[string]struct {
		before  resource.PropertyMap
		refused bool
	}{
		"ours":                          {before: ours},
		"ours, before a rename":         {before: marks(StackAnnotation, "organization/ha-iris/old", OwnerAnnotation, us.number)},
		"without a mark":                {before: marks()},
		"given to us":                   {before: marks(StackAnnotation, us.name)},
		"of another number":             {before: marks(StackAnnotation, us.name, OwnerAnnotation, "ffff"), refused: true},
		"of another stack":              {before: marks(StackAnnotation, "organization/ha-iris/other", OwnerAnnotation, "ffff"), refused: true},
		"given to another one, no mark": {before: marks(StackAnnotation, "organization/ha-iris/other"), refused: true},
	} {
		err := newStack(t, &apiServer{}).beforeUpdate(&pulumi.ResourceHookArgs{Name: "iris", URN: "urn:x", OldInputs: test.before, NewInputs: ours})
		if (err != nil) != test.refused || (err != nil && !strings.Contains(err.Error(), "pulumi state delete 'urn:x'")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The command for a cluster that was made anew gives other people's objects of the same names to the stack.
func TestOtherCluster_NamesNoRefreshWhereOthersHaveObjects(t *testing.T) {
	t.Parallel()
	on := func(uid string) resource.PropertyMap {
		return resource.NewPropertyMapFromMap(map[string]any{"metadata": map[string]any{"annotations": map[string]any{ClusterAnnotation: uid}}})
	}
	moved := &pulumi.ResourceHookArgs{OldInputs: on("a"), NewInputs: on("b")}
	const command = "pulumi up --refresh"
	if err := newStack(t, &apiServer{}).beforeUpdate(moved); err == nil || !strings.Contains(err.Error(), command) {
		t.Errorf("an empty cluster: %v", err)
	}
	for name, object := range map[string]map[string]any{
		"another stack's": annotated(StackAnnotation, us.name, OwnerAnnotation, "ffff"), "Pulumi's": written(),
	} {
		err := newStack(t, &apiServer{objects: map[string]map[string]any{claim.path(): object, namespace.path(): object}}).beforeUpdate(moved)
		if err == nil || strings.Contains(err.Error(), command) || !strings.Contains(err.Error(), "set cluster.context") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newStack(t, &apiServer{status: 403}).beforeUpdate(moved); err == nil || strings.Contains(err.Error(), command) {
		t.Errorf("a cluster that may not be looked at: %v", err)
	}
}
