package iris

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"ha-iris/internal/claims"
)

// argumentsOf are those of a container of a Deployment.
func argumentsOf(t *testing.T, cfg Config, deployment, container string) []string {
	t.Helper()
	spec := decode[appsv1.Deployment](t, manifests(t, mustRun(t, cfg)), "Deployment", deployment).Spec.Template.Spec
	for _, one := range slices.Concat(spec.InitContainers, spec.Containers) {
		if one.Name == container {
			return one.Args
		}
	}
	t.Fatalf("Deployment %s has no container %s", deployment, container)
	return nil
}

// The check starts before the database and ends after it, alone has a token, and the database does not start without its word.
func TestFence_IsBeforeAndAroundTheDatabase(t *testing.T) {
	t.Parallel()
	cfg := community(guardedBy(agentImage))
	pod := decode[appsv1.Deployment](t, manifests(t, mustRun(t, cfg)), "Deployment", deploymentName).Spec.Template.Spec
	first := pod.InitContainers[0]
	if first.Name != fenceContainer || first.RestartPolicy == nil || *first.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the first init container is %s, restarted %v", first.Name, first.RestartPolicy)
	}
	if pod.ShareProcessNamespace == nil || !*pod.ShareProcessNamespace {
		t.Error("it cannot signal the database's processes")
	}
	if *first.SecurityContext.RunAsUser != *pod.Containers[0].SecurityContext.RunAsUser {
		t.Error("it may not signal the database's processes, which have another user")
	}
	if arguments := strings.Join(argumentsOf(t, cfg, deploymentName, "iris"), " "); !strings.Contains(arguments, strings.Join(admission(), " ")) {
		t.Errorf("the database starts without asking: %s", arguments)
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, mount := range container.VolumeMounts {
			if mount.Name == volumeToken && container.Name != fenceContainer {
				t.Errorf("container %s has a token", container.Name)
			}
			if mount.Name == volumeFence && !mount.ReadOnly && container.Name != fenceContainer {
				t.Errorf("container %s may change what the check works with", container.Name)
			}
		}
	}
}

// Two stacks on a cluster have guards of their own; what is outside of the namespaces must not collide.
func TestGuard_ObjectsOutsideOfTheNamespaceAreNamedAfterIt(t *testing.T) {
	t.Parallel()
	cfg := community(guardedBy(agentImage))
	outside := 0
	for _, object := range manifests(t, mustRun(t, cfg)) {
		metadata, _ := object.object["metadata"].(map[string]any)
		if metadata["namespace"] == cfg.Namespace || object.kind == "Namespace" {
			continue
		}
		outside++
		if !strings.HasSuffix(object.name, "-"+cfg.Namespace) {
			t.Errorf("%s %s", object.kind, object.name)
		}
	}
	if outside < 9 { // A class, a cluster role, roles in two namespaces, each with its binding, a policy with its binding.
		t.Errorf("looked at %d objects only", outside)
	}
}

// What can do harm is granted by name or narrowed by the admission policy, and nothing is granted as a whole.
func TestGuard_RightsAreNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	cfg := community(guardedBy(agentImage))
	harmful := []string{"create", "update", "patch", "delete"}
	narrowed := []string{"nodes", "pods", "volumeattachments", "replicas", "orphans"}
	for _, object := range manifests(t, mustRun(t, cfg)) {
		if object.kind != "Role" && object.kind != "ClusterRole" {
			continue
		}
		// A ClusterRole has the same rules, and a field more that is not used here.
		for _, one := range decode[rbacv1.ClusterRole](t, []manifest{object}, object.kind, object.name).Rules {
			if slices.Contains(one.Verbs, "*") || slices.Contains(one.Resources, "*") || slices.Contains(one.APIGroups, "*") {
				t.Errorf("%s %s grants everything of something: %v", object.kind, object.name, one)
			}
			if slices.ContainsFunc(one.Resources, func(name string) bool { return strings.Contains(name, "/") || name == "secrets" }) {
				t.Errorf("%s %s grants %v", object.kind, object.name, one.Resources)
			}
			for _, verb := range one.Verbs {
				known := slices.Contains(narrowed, one.Resources[0]) || one.ResourceNames != nil || one.Resources[0] == "events" ||
					one.Resources[0] == "leases" && verb == "create"
				if slices.Contains(harmful, verb) && !known {
					t.Errorf("%s %s grants %s %v to all of them", object.kind, object.name, verb, one.Resources)
				}
			}
		}
	}
}

// What the roles grant is what the guard's own tests have seen it use (agent/rights.txt), and nothing else.
func TestGuard_RightsAreThoseThatTheAgentUses(t *testing.T) {
	t.Parallel()
	cfg := community(guardedBy(agentImage))
	var granted []string
	for _, one := range cfg.grants() {
		if one.account != guardName {
			continue
		}
		for _, rule := range one.rules {
			granted = append(granted, rule.lines(one.namespace)...)
		}
	}
	slices.Sort(granted)
	written, err := os.ReadFile(filepath.Join("..", "agent", "rights.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("NAMESPACE", cfg.Namespace, "CLAIM", claims.First, "LONGHORN", cfg.LonghornNamespace, "LEASE", guardName)
	want := strings.Split(strings.TrimSpace(names.Replace(string(written))), "\n")
	slices.Sort(want)
	if !slices.Equal(granted, want) {
		t.Errorf("granted:\n%s\nused:\n%s", strings.Join(granted, "\n"), strings.Join(want, "\n"))
	}
}

func (r rule) lines(namespace string) []string {
	names := r.names
	if names == nil {
		names = []string{""}
	}
	var lines []string
	for _, resource := range r.resources {
		for _, verb := range r.verbs {
			for _, name := range names {
				lines = append(lines, fmt.Sprintf("%s %s.%s in %q named %q", verb, resource, r.group, namespace, name))
			}
		}
	}
	return lines
}

// Only where no guard acts does a preview look for what one has left on nodes.
func TestNeeds_LooksForMarksWhereNoGuardActs(t *testing.T) {
	t.Parallel()
	for mode, want := range map[FailoverMode]string{FailoverGuard: "", FailoverObserve: "guard.ha-iris/iris", FailoverLonghorn: "guard.ha-iris/iris"} {
		c := DefaultConfig()
		c.Failover.Mode, c.Failover.Image = mode, "registry.example/agent:1.2.3"
		if got := c.Needs().GuardMark; got != want {
			t.Errorf("%s: got %q, want %q", mode, got, want)
		}
	}
}
