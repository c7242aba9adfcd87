//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// surveyLimit is how long a refusal may take: these stacks used to wait until everything timed out, 25 minutes.
const surveyLimit = 30 * time.Second

// What the fake API servers of internal/survey cannot show: that a real one says what they say, and takes the trial of the pod.
func TestSurvey_RefusesWhatCanNeverWork(t *testing.T) {
	onShared(t)
	applySurvey(t, `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: survey-fast}
provisioner: example.com/fast
---
apiVersion: v1
kind: Namespace
metadata: {name: survey-quota}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: team, namespace: survey-quota}
spec: {hard: {requests.memory: 1Gi}}
---
apiVersion: v1
kind: Namespace
metadata: {name: survey-limits}
---
apiVersion: v1
kind: LimitRange
metadata: {name: bounds, namespace: survey-limits}
spec: {limits: [{type: Container, max: {memory: 1Gi}}, {type: PersistentVolumeClaim, max: {storage: 1Gi}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: survey-viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: survey-viewer}]
`)
	// The controller that counts, and the account that pods need, come a moment later.
	eventually(t, time.Minute, func() error {
		status := shared.kubectl(t, "get", "resourcequota", "team", "--namespace", "survey-quota", "-o", "jsonpath={.status.hard}")
		accounts, err := shared.tryKubectl(t, "get", "serviceaccount", "default", "--namespace", "survey-limits")
		if status == "" || err != nil {
			return fmt.Errorf("quota %q, account %s (%w)", status, accounts, err)
		}
		return nil
	})
	base := baseConfig(shared)
	for name, test := range map[string]struct {
		config config
		want   []string
	}{
		"fewer nodes than replicas": {
			base.set("cluster.nodes", 4).set("storage.replicas", 4),
			[]string{"storage.replicas: got 4, want at most 3, the number of nodes that Longhorn can use"},
		},
		"no such class": {
			base.installingNothing().set("storage.className", "survey-absent"),
			[]string{`storage.className: got "survey-absent", want one of`, "survey-fast"},
		},
		"quota": {
			base.set("iris.namespace", "survey-quota"),
			[]string{"got survey-quota, whose quota team leaves 1Gi of requests.memory (0 used of 1Gi), want 4"},
		},
		"limit range": {
			base.set("iris.namespace", "survey-limits"),
			[]string{"got survey-limits, which refuses the database's pod", "maximum memory usage per Container is 1Gi", "iris.size: got 20Gi, want at most 1Gi"},
		},
		"too large, all at once": {
			base.set("iris.memory", "64Gi").set("iris.namespace", "survey-quota").set("cluster.nodes", 4).set("storage.replicas", 4),
			[]string{"iris.memory: got 64Gi of memory for the whole pod, want at most 32Gi", "whose quota team", "storage.replicas: got 4"},
		},
		"no rights": {
			base.set("cluster.kubeconfigPath", viewer(t)),
			[]string{"a user who may not create clusterrolebindings.rbac.authorization.k8s.io", "create namespaces", "patch secrets in iris"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, "survey")
			s.configure(test.config)
			start := time.Now()
			checkRefused(t, s, append(test.want, "this stack cannot run there as it is configured; nothing was changed"))
			if took := time.Since(start); took > 2*surveyLimit {
				t.Errorf("took %s", took)
			}
			for _, resource := range s.state() {
				if !strings.HasPrefix(string(resource.Type), "pulumi:pulumi:") {
					t.Errorf("%s was created", resource.URN)
				}
			}
		})
	}
}

// The sandbox is healthy: a preview of the ordinary stack says nothing of it.
func TestSurvey_IsSilentOnAHealthyCluster(t *testing.T) {
	onShared(t)
	s := newStack(t, "survey")
	s.configure(baseConfig(shared))
	output, err := s.cli("preview")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(output, "warning") || strings.Contains(output, "could not look at") {
		t.Errorf("got\n%s", output)
	}
}

// applySurvey makes objects for the length of the test.
func applySurvey(t *testing.T, manifest string) {
	t.Helper()
	path := writeFile(t, "survey.yaml", manifest)
	shared.kubectl(t, "apply", "-f", path)
	t.Cleanup(func() {
		if output, err := shared.tryKubectl(t, "delete", "--wait=true", "--timeout=60s", "-f", path); err != nil {
			t.Errorf("clean up: %v\n%s", err, output)
		}
	})
}

// viewer writes the sandbox's kubeconfig, acting as a user who may read and nothing else.
func viewer(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(content, &settings); err != nil {
		t.Fatal(err)
	}
	users, ok := settings["users"].([]any)
	if !ok || len(users) == 0 {
		t.Fatal("the sandbox's kubeconfig has no user")
	}
	for _, one := range users {
		user, ok := one.(map[string]any)["user"].(map[string]any)
		if !ok {
			t.Fatal("a user without credentials")
		}
		user["as"] = "survey-viewer"
	}
	content, err = yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "kubeconfig", string(content))
}
