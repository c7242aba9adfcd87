package iris

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestComponents_HaveAPolicyOrSayThatTheyNeedNone: default-deny would cut off pods of which nobody thought.
func TestComponents_HaveAPolicyOrSayThatTheyNeedNone(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checked, forgotten := unguarded(t, manifests(t, mustRun(t, cfg)), cfg.components())
			if len(forgotten) > 0 {
				t.Errorf("no policy but %s selects the pods of %v, and no component calls them isolated", denyAllName, forgotten)
			}
			if checked != len(cfg.components()) {
				t.Errorf("%d kinds of pods of %d components: this test does not see all of them", checked, len(cfg.components()))
			}
		})
	}
}

// TestComponents_WithoutAPolicyAreFound proves that the test above can fail, for every kind of object that has pods.
func TestComponents_WithoutAPolicyAreFound(t *testing.T) {
	t.Parallel()
	pod := func(app string) map[string]any {
		return map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": app}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "c"}}},
		}
	}
	own := func(kind, app string, spec any) manifest {
		return manifest{kind: kind, name: app, object: map[string]any{"spec": spec}}
	}
	objects := append(
		manifests(t, mustRun(t, community())),
		manifest{kind: "Pod", name: "bare", object: pod("bare")},
		own("StatefulSet", "set", map[string]any{"template": pod("set")}),
		own("CronJob", "job", map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": pod("job")}}}),
		own("Job", "quiet", map[string]any{"template": pod("quiet")}),
		own("Job", "iris", map[string]any{"template": pod(deploymentName)}),
	)
	components := append(community().components(), component{app: "quiet", isolated: true}, component{app: "set"})
	if _, got := unguarded(t, objects, components); !slices.Equal(got, []string{"Pod/bare", "StatefulSet/set", "CronJob/job"}) {
		t.Errorf("got %v", got)
	}
}

// unguarded returns the number of objects with pods, and those whose pods neither a policy other than default-deny nor an
// isolated component selects.
func unguarded(t *testing.T, objects []manifest, components []component) (checked int, forgotten []string) {
	t.Helper()
	var selectors []labels.Selector
	for _, object := range objects {
		if object.kind == "NetworkPolicy" && object.name != denyAllName {
			selectors = append(selectors, guarded(t, object))
		}
	}
	for _, component := range components {
		if component.isolated {
			selectors = append(selectors, labels.SelectorFromSet(labels.Set{"app": component.app}))
		}
	}
	for _, object := range objects {
		for _, pod := range podsIn(t, object.object) {
			checked++
			if !slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(pod.Labels)) }) {
				forgotten = append(forgotten, object.kind+"/"+object.name)
			}
		}
	}
	return checked, forgotten
}

// guarded selects the pods that a network policy is for.
func guarded(t *testing.T, object manifest) labels.Selector {
	t.Helper()
	policy := decode[networkingv1.NetworkPolicy](t, []manifest{object}, object.kind, object.name)
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		t.Fatalf("selector of %s: %v", object.name, err)
	}
	return selector
}

// podsIn returns all pods and templates of pods in an object, at whatever depth its kind has them.
func podsIn(t *testing.T, node any) []corev1.PodTemplateSpec {
	t.Helper()
	object, _ := node.(map[string]any)
	if spec, _ := object["spec"].(map[string]any); spec["containers"] != nil {
		var pod corev1.PodTemplateSpec
		content, err := json.Marshal(map[string]any{"metadata": object["metadata"], "spec": spec})
		if err == nil {
			err = yaml.UnmarshalStrict(content, &pod)
		}
		if err != nil {
			t.Fatalf("read a pod: %v", err)
		}
		return []corev1.PodTemplateSpec{pod}
	}
	var found []corev1.PodTemplateSpec
	for _, child := range object {
		found = append(found, podsIn(t, child)...)
	}
	return found
}

// TestComponents_AreTheOnlySourceOfPods: what is registered in a configuration that no test has is found here.
func TestComponents_AreTheOnlySourceOfPods(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"PodTemplateSpecArgs{", "corev1.NewPod("} {
			count := strings.Count(string(content), source)
			if file == "component.go" {
				seen += count
			} else if count > 0 && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s has %s: pods come from policies.template in component.go", file, source)
			}
		}
	}
	if seen != 1 {
		t.Errorf("component.go makes %d kinds of pods, want 1: this test looks for the wrong text", seen)
	}
}

func TestComponents_AreToldApart(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		seen := map[string]bool{}
		for _, component := range cfg.components() {
			if seen[component.name] || seen["app "+component.app] || component.name == "" || component.app == "" {
				t.Errorf("%s: component %q with label app %q is not the only one", name, component.name, component.app)
			}
			seen[component.name], seen["app "+component.app] = true, true
		}
	}
}

func TestComponent_SaysWhatItsPodsNeed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		component component
		valid     bool
	}{
		"network":            {component{name: "x", network: &network{}}, true},
		"isolated":           {component{name: "x", isolated: true}, true},
		"nothing said":       {component{name: "x"}, false},
		"isolated and a way": {component{name: "x", isolated: true, network: &network{}}, false},
	} {
		if err := test.component.checkNetwork(); (err == nil) != test.valid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestComponent_GetsNoPodsOutsideOfTheTable: the policies are made for those in the table.
func TestComponent_GetsNoPodsOutsideOfTheTable(t *testing.T) {
	t.Parallel()
	made := &policies{own: map[string][]pulumi.Resource{"database": nil}}
	if _, err := made.template(component{name: "database"}, nil, nil); err != nil {
		t.Errorf("got %v", err)
	}
	_, err := made.template(component{name: "forgotten"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "component forgotten: not among the configuration's components") {
		t.Errorf("got %v", err)
	}
}
