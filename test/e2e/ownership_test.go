//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// foreign is an object of somebody else's.
type foreign struct {
	kind, namespace, name, uid string
}

// TestOwnership_OthersObjectsAreLeftAlone puts an object of somebody else's in the place of every object of the program,
// whatever its kind, and plays the story to its end.
func TestOwnership_OthersObjectsAreLeftAlone(t *testing.T) {
	onShared(t)
	c := baseConfig(shared).set("iris.prePullImage", true)
	s := newStack(t, "ownership")
	s.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	objects := createForeign(t, plannedObjects(t, s))
	if len(objects) < 12 {
		t.Fatalf("only %d objects were made; the program has more", len(objects))
	}
	defer func() {
		for _, o := range slices.Backward(objects) { // The namespaces last: they wait for what is in them.
			shared.kubectl(t, o.args("delete", "--ignore-not-found", "--timeout=90s")...)
		}
	}()

	words := []string{"are not this stack's", "storage.install: false", "storage.className", "iris.namespace", "pulumi import"}
	for _, o := range objects {
		words = append(words, o.String())
	}
	refusedOutright(t, s, c, words...)
	if err := s.tryDestroy(); err != nil {
		t.Errorf("destroy after a refused up: %v", err)
	}
	for _, o := range objects {
		o.checkUntouched(t)
	}
}

// refusedOutright fails unless a preview refuses with a message that has all the words, and an update that does not look
// first does too.
func refusedOutright(t *testing.T, s *stack, c config, words ...string) {
	t.Helper()
	s.configure(c)
	_, previewErr := s.preview()
	_, upErr := s.cli("up", "--yes", "--skip-preview")
	checkRefusals(t, map[string]error{"preview": previewErr, "up": upErr}, words)
}

// plannedObjects returns the objects of the Kubernetes API that an up would create, as a preview has them.
func plannedObjects(t *testing.T, s *stack) []map[string]any {
	t.Helper()
	planned, err := s.plan()
	if err != nil {
		t.Fatalf("preview: %v", err)
	}
	var preview struct {
		Steps []struct {
			Op       string              `json:"op"`
			URN      resource.URN        `json:"urn"`
			NewState *apitype.ResourceV3 `json:"newState"`
		} `json:"steps"`
	}
	if err := json.Unmarshal([]byte(planned), &preview); err != nil {
		t.Fatalf("read the preview: %v", err)
	}
	var objects []map[string]any
	for _, step := range preview.Steps {
		if step.Op != "create" || step.NewState.Inputs["apiVersion"] == nil {
			continue
		}
		objects = append(objects, step.NewState.Inputs)
	}
	return objects
}

// createForeign makes each object as somebody else would have, namespaces first.
func createForeign(t *testing.T, planned []map[string]any) []foreign {
	t.Helper()
	var made []foreign
	for _, namespaces := range []bool{true, false} {
		for _, object := range planned {
			if (object["kind"] == "Namespace") != namespaces {
				continue
			}
			metadata, _ := object["metadata"].(map[string]any)
			delete(metadata, "annotations")
			delete(metadata, "labels")
			if object["kind"] == "Secret" { // Its content is masked in a preview.
				delete(object, "stringData")
				delete(object, "data")
				object["type"] = "Opaque"
			}
			content, err := json.Marshal(object)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			shared.kubectl(t, "create", "-f", writeFile(t, "object.json", string(content)))
			o := foreign{kind: fmt.Sprint(object["kind"]), name: fmt.Sprint(metadata["name"])}
			if metadata["namespace"] != nil {
				o.namespace = fmt.Sprint(metadata["namespace"])
			}
			o.uid = shared.kubectl(t, o.args("get", "-o", "jsonpath={.metadata.uid}")...)
			made = append(made, o)
		}
	}
	return made
}

func (o foreign) args(verb string, more ...string) []string {
	args := []string{verb, strings.ToLower(o.kind), o.name}
	if o.namespace != "" {
		args = append(args, "--namespace", o.namespace)
	}
	return append(args, more...)
}

func (o foreign) String() string {
	if o.namespace == "" {
		return o.kind + " " + o.name
	}
	return fmt.Sprintf("%s %s/%s", o.kind, o.namespace, o.name)
}

func (o foreign) checkUntouched(t *testing.T) {
	t.Helper()
	seen := shared.kubectl(t, o.args("get", "-o", `jsonpath={.metadata.uid} {.metadata.deletionTimestamp}{.metadata.annotations.ha-iris/owner}`)...)
	if seen != o.uid+" " {
		t.Errorf("%s was touched: %q, want %q", o, seen, o.uid)
	}
}

// TestOwnership_LonghornOfOthersIsNoPlaceToInstall has a Longhorn in a namespace of another name, so that not one object of
// ours is there, only what tells of it.
func TestOwnership_LonghornOfOthersIsNoPlaceToInstall(t *testing.T) {
	onShared(t)
	s := newStack(t, "beside")
	c := baseConfig(shared)
	driver := writeFile(t, "driver.yaml", "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: driver.longhorn.io}\n")
	shared.kubectl(t, "create", "-f", driver)
	defer shared.kubectl(t, "delete", "-f", driver)
	refusedOutright(t, s, c, "CSIDriver driver.longhorn.io", "storage.install: false")
	if output, err := shared.tryKubectl(t, "get", "namespace", "longhorn-system"); err == nil {
		t.Errorf("something was made all the same:\n%s", output)
	}
}

// TestOwnership_TwoStacksOnOneCluster is the second stack that is given the first one's namespace.
func TestOwnership_TwoStacksOnOneCluster(t *testing.T) {
	onShared(t)
	first, c := newStack(t, "first"), baseConfig(shared)
	first.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	first.up()
	defer first.destroyEverything(c)
	claim := claimUID(t)
	for _, name := range []string{"second", "first"} { // The other one has a state of its own, and the same name.
		second := newStack(t, name)
		refusedOutright(t, second, c.installingNothing(), "PersistentVolumeClaim iris/iris-pvc: of stack organization/ha-iris/first",
			"Namespace iris", "Deployment iris/iris", "PriorityClass ha-iris-iris", "iris.namespace")
		if err := second.tryDestroy(); err != nil {
			t.Errorf("destroy of the refused stack %s: %v", name, err)
		}
	}
	if seen := jsonpath(t, "pvc", "iris-pvc", "{.metadata.uid}{.metadata.deletionTimestamp}"); seen != claim {
		t.Errorf("the first stack's claim is %q, want %q, not being deleted", seen, claim)
	}
	if planned, err := first.preview(); err != nil || !planned.onlySame() {
		t.Errorf("the first stack's preview: %v, %v", planned, err)
	}
	checkLostState(t, first, c)
}

// checkLostState forgets objects as a kill between the API server's answer and the state does, and goes on.
func checkLostState(t *testing.T, s *stack, c config) {
	t.Helper()
	s.configure(c.set("iris.protectData", false))
	s.up()
	for _, forgotten := range []string{"::iris-cpf-merge", "::default-deny"} {
		for _, one := range s.state() {
			if strings.HasSuffix(string(one.URN), forgotten) {
				if output, err := s.cli("state", "delete", "--yes", "--force", "--target-dependents", string(one.URN)); err != nil {
					t.Fatalf("forget %s: %v\n%s", one.URN, err, output)
				}
			}
		}
	}
	s.up()
}

// TestOwnership_NamespaceThatWasGivenToTheStack has a certificate in it before the first up.
func TestOwnership_NamespaceThatWasGivenToTheStack(t *testing.T) {
	onShared(t)
	s, c := newStack(t, "given"), baseConfig(shared)
	t.Cleanup(func() { checkEmpty(t, shared) })
	shared.kubectl(t, "create", "namespace", "iris")
	shared.kubectl(t, "-n", "iris", "create", "secret", "generic", "portal-certificate", "--from-literal=tls.crt=x")
	refusedOutright(t, s, c, "Namespace iris", "kubectl annotate", "ha-iris/stack=organization/ha-iris/given")
	shared.kubectl(t, "annotate", "namespace", "iris", "ha-iris/stack=organization/ha-iris/given")
	s.up()
	shared.kubectl(t, "-n", "iris", "get", "secret", "portal-certificate")
	s.destroyEverything(c)
}

// TestOwnership_ClusterMadeAnewIsNoticed is a sandbox that is deleted and started again under its name, state kept.
func TestOwnership_ClusterMadeAnewIsNoticed(t *testing.T) {
	onOwn(t)
	const name = "anew"
	on := ownSandbox(t, name)
	s, c := newStack(t, name), baseConfig(on)
	s.configure(c)
	s.up()
	on, err := startSandbox(name) // It purges first.
	if err != nil {
		t.Fatal(err)
	}
	refusedOutright(t, s, c, "another cluster than the one that the stack is on", "--refresh", "pulumi stack init")
	if output, err := on.tryKubectl(t, "get", "namespace", "longhorn-system"); err == nil {
		t.Errorf("something was written to the other cluster:\n%s", output)
	}
	if err := s.Workspace().SetEnvVars(map[string]string{"PULUMI_K8S_DELETE_UNREACHABLE": "true"}); err != nil {
		t.Fatal(err)
	}
	checkRefreshTakesNothing(t, s, c)
	if output, err := s.cli("up", "--yes", "--refresh", "--run-program"); err != nil {
		t.Fatalf("the command that the message names: %v\n%s", err, output)
	}
	on.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
}

// checkRefreshTakesNothing puts another stack onto the cluster, with the names of the one that was on it, which then refreshes all
// the same.
func checkRefreshTakesNothing(t *testing.T, s *stack, c config) {
	t.Helper()
	other := newStack(t, "other")
	other.configure(c)
	other.up()
	output, err := s.cli("preview")
	if err == nil || !strings.Contains(output, "do not refresh") || strings.Contains(output, "up --refresh") {
		t.Errorf("with another stack's objects there: %v\n%s", err, output)
	}
	output, err = s.cli("up", "--yes", "--refresh", "--run-program")
	if err == nil || !strings.Contains(output, "belongs to stack organization/ha-iris/other") {
		t.Errorf("a refresh onto another stack's objects: %v\n%s", err, output)
	}
	if planned, err := other.preview(); err != nil || !planned.onlySame() {
		t.Errorf("the other stack's preview: %v, %v", planned, err)
	}
	if _, changed := other.up(optup.Refresh()); changed["update"]+changed["create"]+changed["replace"] > 0 {
		t.Errorf("the other stack's objects were changed: %v", changed)
	}
	other.destroyEverything(c)
}

// TestOwnership_RenamedStackKeepsItsCluster renames a stack, as people do after a while.
func TestOwnership_RenamedStackKeepsItsCluster(t *testing.T) {
	onShared(t)
	s, c := newStack(t, "before"), baseConfig(shared)
	s.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	s.up()
	claim := claimUID(t)
	if output, err := s.cli("stack", "rename", "after"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	renamed := openStack(t, s, "after")
	refusedOutright(t, renamed, c, "cluster.name", `"ha-iris-after"`, "pulumi config set --path cluster.name ha-iris-before")
	c = c.set("cluster.name", "ha-iris-before")
	renamed.configure(c)
	if _, changed := renamed.up(); changed["replace"]+changed["delete"]+changed["create"] > 0 {
		t.Errorf("the renamed stack makes anew what it has: %v", changed)
	}
	if claimUID(t) != claim {
		t.Error("the claim is another one: the data is lost")
	}
	renamed.destroyEverything(c)
}

// openStack returns a stack that is there already, in the directory of another handle on it.
func openStack(t *testing.T, s *stack, name string) *stack {
	t.Helper()
	opened := newStackOf(t, project{file: filepath.Join(repository, "Pulumi.yaml"), program: program, state: stateOf(s)}, name)
	salt := filepath.Join(s.dir, "Pulumi."+name+".yaml")
	if content, err := os.ReadFile(salt); err == nil {
		if err := os.WriteFile(filepath.Join(opened.dir, filepath.Base(salt)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return opened
}

func stateOf(s *stack) string {
	return strings.TrimPrefix(s.Workspace().GetEnvVars()["PULUMI_BACKEND_URL"], "file://")
}
