package command

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"ha-iris/agent/internal/guard"
	"ha-iris/agent/internal/watchman"
)

// settled makes the cluster one in which nothing is the matter: the node is Ready, and has the volume.
func settled(t *testing.T, g assembled) {
	t.Helper()
	node, err := g.cluster.Core.Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if _, err := g.cluster.Core.Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	volume := "pv"
	attachment := &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "va"},
		Spec:       storagev1.VolumeAttachmentSpec{NodeName: "n1", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}},
		Status:     storagev1.VolumeAttachmentStatus{Attached: true},
	}
	if _, err := g.cluster.Storage.VolumeAttachments().Create(t.Context(), attachment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A guard that leads labels the node, one that only observes writes nothing.
func TestTerm_LabelsWhereTheGuardActs(t *testing.T) {
	t.Parallel()
	for mode, want := range map[guard.Mode]bool{guard.ModeGuard: true, guard.ModeObserve: false} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			cluster, seen := seenCluster()
			options := parsed(t, append(slices.Clone(required), "--mode", string(mode))...)
			config, err := options.config()
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.NewTextHandler(io.Discard, nil))
			g := assembled{options, config, cluster, log, watchman.NewMetrics(), func() time.Duration { return time.Hour }}
			settled(t, g)
			// Two looks of the loop, a second apart, which are enough for the label's one.
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			g.term(record.NewFakeRecorder(100), watchman.NewVoucher(g.clock, watchman.DefaultTerms(), "a"))(ctx)
			if got := slices.Contains(seen.all(), request("patch", "", "nodes", "")); got != want {
				t.Errorf("the node is changed: %t, want %t; asked %q", got, want, seen.all())
			}
			node, err := cluster.Core.Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
			if err != nil || (node.Labels["guard.ha-iris/iris"] == "volume") != want {
				t.Errorf("got the labels %v, %v", node.Labels, err)
			}
		})
	}
}
