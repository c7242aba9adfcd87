package iris

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// affinityOf is that of a Deployment's pods.
func affinityOf(t *testing.T, cfg Config, deployment string) *corev1.Affinity {
	t.Helper()
	return decode[appsv1.Deployment](t, manifests(t, mustRun(t, cfg)), "Deployment", deployment).Spec.Template.Spec.Affinity
}

// byVolume prefers the node that has the volume of the database in that namespace, or the others. It never requires it.
func byVolume(namespace string, operator corev1.NodeSelectorOperator) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 100,
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: "guard.ha-iris/" + namespace, Operator: operator, Values: []string{"volume"},
			}}},
		}},
	}}
}

// The database prefers the label, and the guards avoid it, where a guard writes it. Elsewhere the database has no affinity at all.
func TestPlacement_FollowsTheLabelWhereAGuardActs(t *testing.T) {
	t.Parallel()
	for mode, acts := range map[FailoverMode]bool{FailoverAuto: true, FailoverGuard: true, FailoverObserve: false, FailoverLonghorn: false} {
		cfg := community(guardedBy(agentImage), func(c *Config) {
			c.Failover.Mode, c.Namespace, c.Architecture = mode, "second", "arm64"
		})
		var database *corev1.Affinity
		if acts {
			database = byVolume("second", corev1.NodeSelectorOpIn)
		}
		if got := affinityOf(t, cfg, deploymentName); !reflect.DeepEqual(got, database) {
			t.Errorf("%s: the database's pod has %v, want %v", mode, got, database)
		}
		if mode == FailoverLonghorn {
			continue
		}
		got, guards := affinityOf(t, cfg, guardName), byVolume("second", corev1.NodeSelectorOpNotIn)
		if acts && !reflect.DeepEqual(got, guards) {
			t.Errorf("%s: the guards have %v, want %v", mode, got, guards)
		}
		if !acts && (got.NodeAffinity != nil || got.PodAntiAffinity == nil) {
			t.Errorf("%s: the guards have %v, want what needs no label", mode, got)
		}
	}
}

// No pod that is there for long may be against the database's: the scheduler counts that as much as the preference for the volume.
func TestPlacement_NoGuardKeepsTheDatabaseAway(t *testing.T) {
	t.Parallel()
	cfg := community(verified(agentImage))
	var against []string
	for _, object := range manifests(t, mustRun(t, cfg)) {
		for _, pod := range podsIn(t, object.object) {
			if pod.Spec.Affinity != nil && pod.Spec.Affinity.PodAntiAffinity != nil {
				against = append(against, object.name)
			}
		}
	}
	if want := []string{copyName}; !slices.Equal(against, want) { // It is there for hours, and on another node.
		t.Errorf("got an anti-affinity of %v, want of %v", against, want)
	}
}

func TestPlacement_TheLabelIsOneForEveryNamespace(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("n", 63)
	if problems := validation.IsQualifiedName(Config{Namespace: longest}.guardMark()); len(problems) > 0 {
		t.Errorf("the key: %v", problems)
	}
	if problems := validation.IsValidLabelValue(guardLabelValue); len(problems) > 0 {
		t.Errorf("the value: %v", problems)
	}
}
