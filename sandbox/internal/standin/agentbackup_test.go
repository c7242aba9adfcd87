package standin

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// backupPod is one of a job with such a name, which backs the rig's volume up.
func backupPod(job string) *corev1.Pod {
	pod := runningPod(job, "a")
	pod.UID = types.UID(job)
	owner := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: job, UID: "j-1"}}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}
	pod.Labels = map[string]string{batchv1.JobNameLabel: job}
	pod.Spec.Containers = []corev1.Container{{
		Name: "backup", Image: agentImage + "0.1.0",
		Args: []string{
			"backup", "--namespace", "iris", "--claim", "data", "--longhorn-namespace", longhornNamespace, "--owner", "$(OWNER)", "--cron-job", "nightly",
			"--job", "$(JOB)", "--retain=14",
		},
		Env: []corev1.EnvVar{
			{Name: "OWNER", Value: "12ab"},
			{Name: "JOB", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}},
		},
	}}
	return pod
}

// The job is complete once its backup is, which has the marks by which the stack finds it.
func TestAgentBackup_IsMadeAndMarked(t *testing.T) {
	t.Parallel()
	for job, byHand := range map[string]string{"nightly-29400000": "", "before-upgrade": "true"} {
		r := withBucket(newRig(t, "a", nil))
		r.add(backupPod(job))
		r.refresh()
		for range 40 {
			r.call(r.syncPod, "iris/"+job)
			r.pass(time.Second)
			r.refresh()
			if r.pod(job).Status.Phase == corev1.PodSucceeded {
				break
			}
		}
		made := r.names(backupKind)
		if r.pod(job).Status.Phase != corev1.PodSucceeded || len(made) != 1 || r.field(backupKind, made[0], "status", "state") != backupCompleted {
			t.Fatalf("%s: the pod is %s, the backups are %v", job, r.pod(job).Status.Phase, made)
		}
		labels := r.longhornObject(backupKind, made[0]).GetLabels()
		if labels["ha-iris/backup"] != "consistent" || labels["ha-iris/namespace"] != "iris" || labels["ha-iris/owner"] != "12ab" || labels["ha-iris/by-hand"] != byHand {
			t.Errorf("%s: the marks are %v", job, labels)
		}
		if stored := r.field(backupKind, made[0], "status", "labels", "ha-iris/owner"); stored != "12ab" {
			t.Errorf("%s: the stored marks have %q", job, stored)
		}
	}
}

// A volume that nobody uses has nothing to freeze: the agent ends well and makes none.
func TestAgentBackup_MakesNoneOfADetachedVolume(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "", nil))
	r.add(backupPod("nightly-1"))
	r.refresh()
	for range 6 {
		r.call(r.syncPod, "iris/nightly-1")
		r.pass(time.Second)
		r.refresh()
	}
	if made := r.names(backupKind); r.pod("nightly-1").Status.Phase != corev1.PodSucceeded || len(made) > 0 {
		t.Errorf("the pod is %s, the backups are %v", r.pod("nightly-1").Status.Phase, made)
	}
}
