package iris

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// finding is one of kube-score's findings.
type finding struct{ object, check, summary string }

// kube-score's grades; lower is worse.
const (
	critical = 1
	warning  = 5
)

// findings runs kube-score over manifests and returns what is as bad as grade or worse. Annotations on the objects are not
// obeyed: what they excuse is compared with the findings by the tests. kube-score is a tool of its own module, because its
// library does not compile with the Kubernetes packages that the program uses.
func findings(t *testing.T, manifests string, grade int) []finding {
	t.Helper()
	command := exec.Command("go", "tool", "kube-score", "score", "--disable-ignore-checks-annotations",
		"--kubernetes-version", "v1.34", "--output-format", "json", "-")
	command.Dir = filepath.Join("..", "sandbox", "tools", "kube-score")
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	command.Stdin = strings.NewReader(manifests)
	var failure strings.Builder
	command.Stderr = &failure
	output, err := command.Output()
	var exit *exec.ExitError
	// It exits with 1 when it has critical findings; a report that can be read says more than the code.
	if err != nil && (!errors.As(err, &exit) || len(output) == 0) {
		t.Fatalf("kube-score: %v\n%s", err, failure.String())
	}
	return parseScore(t, output, grade)
}

func parseScore(t *testing.T, output []byte, grade int) []finding {
	t.Helper()
	var objects []struct {
		TypeMeta   metav1.TypeMeta   `json:"type_meta"`
		ObjectMeta metav1.ObjectMeta `json:"object_meta"`
		Checks     []struct {
			Check    struct{ ID string }
			Grade    int
			Skipped  bool
			Comments []struct{ Summary string }
		}
	}
	if err := json.Unmarshal(output, &objects); err != nil {
		t.Fatalf("read kube-score's report: %v\n%s", err, output)
	}
	if len(objects) == 0 {
		t.Fatal("kube-score saw no object")
	}
	var found []finding
	for _, object := range objects {
		for _, check := range object.Checks {
			if check.Skipped || check.Grade > grade {
				continue
			}
			for _, comment := range check.Comments {
				found = append(found, finding{object.TypeMeta.Kind + "/" + object.ObjectMeta.Name, check.Check.ID, comment.Summary})
			}
		}
	}
	return found
}

// TestKubeScore_FindsNothingBeyondTheExceptions also fails for an exception that is no longer needed.
func TestKubeScore_FindsNothingBeyondTheExceptions(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := manifests(t, mustRun(t, cfg))
			excused := map[string]bool{}
			for _, object := range objects {
				for check := range exceptionsOf(t, object) {
					excused[fmt.Sprintf("%s/%s %s", object.kind, object.name, check)] = true
				}
			}
			seen := map[string]bool{}
			for _, finding := range findings(t, toYAML(t, objects), warning) {
				seen[finding.object+" "+finding.check] = true
			}
			found := slices.Sorted(maps.Keys(seen))
			if want := slices.Sorted(maps.Keys(excused)); !slices.Equal(found, want) {
				t.Errorf("findings and exceptions differ\nfound:   %s\nexcused: %s",
					strings.Join(found, "\n         "), strings.Join(want, "\n         "))
			}
		})
	}
}

// exceptionsOf reads an object's exceptions as a scanner finds them and insists on a reason for each.
func exceptionsOf(t *testing.T, object manifest) map[string]string {
	t.Helper()
	meta, _ := object.object["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	list, _ := annotations[kubeScoreIgnore].(string)
	reasons := map[string]string{}
	for _, check := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		reason, _ := annotations[reasonPrefix+check].(string)
		if reason == "" {
			t.Errorf("%s %s excuses %s without a reason", object.kind, object.name, check)
		}
		reasons[check] = reason
	}
	return reasons
}

// TestKubeScore_FindsTheArticlesWeaknesses proves that the checks can fail: the article's manifests, as a fixture written
// for this test, fail eight kinds of critical check.
func TestKubeScore_FindsTheArticlesWeaknesses(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/article.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, finding := range findings(t, string(content), critical) {
		kind := finding.check
		if kind == "container-resources" { // One check for two resources.
			kind += " " + strings.Fields(finding.summary)[0]
		}
		kinds[kind] = true
	}
	want := []string{
		"container-ephemeral-storage-request-and-limit", "container-image-pull-policy", "container-resources CPU",
		"container-resources Memory", "container-security-context-readonlyrootfilesystem",
		"container-security-context-user-group-id", "pod-networkpolicy", "pod-probes",
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// violations evaluates a pod against the Pod Security Standard "restricted" of Kubernetes 1.34.
func violations(t *testing.T, meta metav1.ObjectMeta, spec corev1.PodSpec) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	var found []string
	for _, result := range evaluator.EvaluatePod(level, &meta, &spec) {
		if !result.Allowed {
			found = append(found, result.ForbiddenReason)
		}
	}
	return found
}

func TestPods_ArePodSecurityRestricted(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := manifests(t, mustRun(t, cfg))
			checked := 0
			for _, object := range objects {
				for _, pod := range podsIn(t, object.object) {
					checked++
					if found := violations(t, pod.ObjectMeta, pod.Spec); len(found) > 0 {
						t.Errorf("%s %s: %s", object.kind, object.name, strings.Join(found, ", "))
					}
				}
			}
			if checked != len(cfg.components()) {
				t.Errorf("%d kinds of pods of %d components were checked", checked, len(cfg.components()))
			}
		})
	}
}

// TestPodSecurity_FindsTheArticlesWeaknesses proves that the evaluation can fail.
func TestPodSecurity_FindsTheArticlesWeaknesses(t *testing.T) {
	t.Parallel()
	article := corev1.PodSpec{Containers: []corev1.Container{{Name: "iris", Image: "store/intersystems/iris-community"}}}
	want := []string{
		"allowPrivilegeEscalation != false", "unrestricted capabilities", "runAsNonRoot != true", "seccompProfile",
	}
	found := violations(t, metav1.ObjectMeta{}, article)
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("got %q, want %q", found, want)
	}
}
