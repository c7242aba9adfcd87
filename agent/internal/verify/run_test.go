package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"ha-iris/agent/internal/verify"
)

func TestRun_VerifiesTheLastCompleteBackup(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := w.left(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if got := w.noted("last", verify.ReasonVerified, "restored from last"); !strings.Contains(got, `"verdict":"good"`) {
			t.Errorf("noted %q", got)
		}
		if len(w.rows) != 1 || len(w.copied) != 0 {
			t.Errorf("the database's rows are %v, the copy's %v", w.rows, w.copied)
		}
		w.untouched()
	})
}

// What the copy is made of: a volume of one replica from that backup, as large as its volume, and a pod that no selector of the database's finds.
func TestRun_MakesACopyApart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.onCheck = func() {
			ctx := w.t.Context()
			claim, err := w.core.CoreV1().PersistentVolumeClaims("iris").Get(ctx, copyName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if size := claim.Spec.Resources.Requests["storage"]; size.String() != "20Gi" || *claim.Spec.StorageClassName != className {
				t.Errorf("the claim is %+v", claim.Spec)
			}
			pod, err := w.core.CoreV1().Pods("iris").Get(ctx, copyName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if pod.Labels["app"] != copyName || pod.Labels["ha-iris/owner"] != "12ab" || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != copyName {
				t.Errorf("the pod is %+v", pod)
			}
			for _, owners := range [][]metav1.OwnerReference{claim.OwnerReferences, pod.OwnerReferences} {
				if len(owners) != 1 || owners[0].Name != "iris-verify-1-x" || owners[0].UID != ownRun {
					t.Errorf("owned by %v", owners)
				}
			}
			if left := w.left(); strings.Join(left, " ") != "pod claim volume" {
				t.Errorf("there is %v: the class is not needed any more", left)
			}
		}
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, action := range w.core.Actions() {
			if !action.Matches("create", "storageclasses") {
				continue
			}
			made := fmt.Sprintf("%+v", action)
			for _, want := range []string{"fromBackup: " + lastURL, "numberOfReplicas: 1", "driver.longhorn.io"} {
				if !strings.Contains(made, want) {
					t.Errorf("the class lacks %s: %s", want, made)
				}
			}
		}
	})
}

// The backups that last are those for which IRIS was frozen; one that such a schedule has left behind for ever is not verified each week.
func TestRun_PrefersABackupForWhichIRISWasFrozen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		frozen map[string]time.Duration
		want   string
	}{
		"newest of two": {map[string]time.Duration{"nightly": 12 * time.Hour, "before": 36 * time.Hour}, "nightly"},
		"weekly":        {map[string]time.Duration{"weekly": 7 * 24 * time.Hour}, "weekly"},
		"left behind":   {map[string]time.Duration{"by-hand": 10 * 24 * time.Hour}, "last"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				for name, age := range test.frozen {
					one := backupObject(name, age, "Completed")
					labels := one.GetLabels()
					labels["ha-iris/backup"] = "consistent"
					one.SetLabels(labels)
					w.add(one)
				}
				if err := w.run(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				if got := w.noted(test.want, verify.ReasonVerified, "restored from "+test.want); got == "" {
					w.t.Errorf("nothing is noted of %s", test.want)
				}
			})
		})
	}
}

// failure is a way to fail.
type failure struct {
	spoil   func(w *world)
	want    string
	verdict verify.Verdict
}

func startFailures() map[string]failure {
	return map[string]failure{
		"no backup": {func(w *world) {
			for _, name := range []string{"last", "older"} {
				_ = w.dynamic.Tracker().Delete(longhornResource("backups"), "longhorn-system", name)
			}
		}, "has no backup that can be verified: there are 1, and none is complete", ""},
		"restore fails":          {func(w *world) { w.restoreFails = "block 7 is damaged" }, "Longhorn says: block 7 is damaged", verify.Bad},
		"restore takes for ever": {func(w *world) { w.restoreTakes = -1 }, "backup last was not restored: after", verify.Unclear},
		"IRIS ends":              {func(w *world) { w.iris = "startup failed" }, "exit code 1, : startup failed", verify.Bad},
		"IRIS ends, the database was started since": {func(w *world) {
			w.iris = "startup failed"
			w.database(func(pod *corev1.Pod) { pod.Status.StartTime = ago(time.Hour) })
		}, "has started since, so that another image may have written it", verify.Unclear},
		"IRIS ends, the database has another image": {func(w *world) {
			w.iris = "startup failed"
			w.database(func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "iris@sha256:2" })
		}, "the copy has image iris@sha256:1 and the database iris@sha256:2", verify.Unclear},
		"IRIS never ready, the database has another image": {func(w *world) {
			w.startTakes = -1
			w.database(func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "iris@sha256:2" })
		}, "the copy has image iris@sha256:1 and the database iris@sha256:2", verify.Unclear},
		"IRIS ends, there is no database": {func(w *world) {
			w.iris = "startup failed"
			_ = w.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "iris", "iris-a")
		}, "the database has no pod", verify.Unclear},
		"IRIS never ready": {func(w *world) { w.startTakes = -1 }, "IRIS does not start on backup last: after 30m", verify.Bad},
	}
}

func checkFailures() map[string]failure {
	return map[string]failure{
		"integrity errors": {
			func(w *world) {
				w.integrity = "\nha-iris integrity 0 930\n%SYS>Directory: /external/iris/user/ 2 errors\n"
			},
			"has found errors: error codes 930: %SYS>Directory: /external/iris/user/ 2 errors", verify.Bad,
		},
		"check is prevented": {
			func(w *world) { w.integrity = "\nha-iris integrity 0 1075\n%SYS>No Errors were found.\n" },
			"did not run to its end: error codes 1075", verify.Unclear,
		},
		"errors, and part of the check is prevented": {
			func(w *world) {
				w.integrity = "\nha-iris integrity 0 930,1075\n%SYS>Directory: /external/iris/user/ 2 errors\n"
			},
			"did not run to its end: error codes 930,1075", verify.Unclear,
		},
		"no error codes": {
			func(w *world) { w.integrity = "\nha-iris integrity 0\n%SYS>Directory: /external/iris/user/ 2 errors\n" },
			"did not run to its end", verify.Unclear,
		},
		"no verdict":     {func(w *world) { w.integrity = "%SYS><NOROUTINE> *Integrity" }, "did not run to its end", verify.Unclear},
		"check for ever": {func(w *world) { w.checkTakes = 1000 * time.Hour }, "the integrity check has not ended: after 12h", verify.Unclear},
		"marker missing": {func(w *world) { w.rows["3"] = w.row(-7 * 24 * time.Hour) }, "lacks the marker row that the database got at", verify.Bad},
		"another marker": {func(w *world) { w.rows["3"], w.copied["3"] = w.row(-3*time.Hour), "5 other" }, "lacks the marker row", verify.Bad},
	}
}

func lossFailures() map[string]failure {
	return map[string]failure{
		"pod is deleted": {func(w *world) {
			w.onContinue = func() { _ = w.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "iris", copyName) }
		}, "the copy's pod was lost: it is gone", verify.Unclear},
		"pod is deleted while IRIS starts": {func(w *world) {
			w.startTakes = -1
			time.AfterFunc(2*time.Minute, func() { _ = w.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "iris", copyName) })
		}, "the copy's pod was lost: it is gone", verify.Unclear},
		"pod is evicted while IRIS starts": {
			func(w *world) { w.startTakes = -1; w.evicts(2 * time.Minute) },
			"the copy's pod was lost: the copy's pod has failed: Evicted The node was low on resource", verify.Unclear,
		},
		"pod is evicted during the check": {
			func(w *world) { w.evicts(3 * time.Minute) },
			"the copy's pod was lost: the copy's pod has failed: Evicted The node was low on resource", verify.Unclear,
		},
		"volume is lost during the restore": {func(w *world) {
			w.restoreTakes = -1
			w.faults(time.Minute)
		}, "backup last was not restored: Longhorn's volume pvc-copy is faulted", verify.Unclear},
		"volume is lost during the check": {func(w *world) { w.faults(3 * time.Minute) }, "Longhorn's volume pvc-copy is faulted", verify.Unclear},
		"IRIS ends a moment before its volume is faulted": {func(w *world) {
			w.iris = "I/O error"
			w.faults(105 * time.Second)
		}, "Longhorn's volume pvc-copy is faulted", verify.Unclear},
		"IRIS ends during the check": {func(w *world) {
			time.AfterFunc(3*time.Minute, func() {
				w.changesTheCopy(func(pod *corev1.Pod) {
					pod.Status.Phase = corev1.PodFailed
					pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "it hangs"}}
				})
			})
		}, "IRIS has ended during the integrity check: its container has ended: container iris, exit code 1", verify.Bad},
	}
}

// Each way to fail: what is said, what is noted of the backup, and that nothing is left.
func TestRun_Failures(t *testing.T) {
	t.Parallel()
	all := startFailures()
	maps.Copy(all, checkFailures())
	maps.Copy(all, lossFailures())
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				test.spoil(w)
				err := w.run(w.t.Context())
				if err == nil || !strings.Contains(err.Error(), test.want) {
					w.t.Fatalf("got %v, want %q", err, test.want)
				}
				if left := w.left(); len(left) > 0 {
					w.t.Errorf("left: %v", left)
				}
				if errors.Is(err, verify.ErrBad) != (test.verdict == verify.Bad) {
					w.t.Errorf("the exit code says something else: %v", err)
				}
				got := w.noted("last", verify.ReasonFailed, test.want)
				if test.verdict == "" && got != "" || !strings.Contains(got, string(test.verdict)) {
					w.t.Errorf("noted %q, want %s", got, test.verdict)
				}
				w.untouched()
			})
		})
	}
}

func (w *world) changesTheCopy(change func(*corev1.Pod)) {
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	object, err := w.core.Tracker().Get(pods, "iris", copyName)
	pod, ok := object.(*corev1.Pod)
	if err != nil || !ok {
		w.t.Errorf("got %v, %v", object, err)
		return
	}
	pod = pod.DeepCopy()
	change(pod)
	if err := w.core.Tracker().Update(pods, pod, "iris"); err != nil {
		w.t.Error(err)
	}
}

// evicts does what a kubelet does that needs room: the container is ended too.
func (w *world) evicts(after time.Duration) {
	time.AfterFunc(after, func() {
		w.changesTheCopy(func(pod *corev1.Pod) {
			pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}}
		})
	})
}

// faults takes the copy's volume its only replica.
func (w *world) faults(after time.Duration) {
	time.AfterFunc(after, func() {
		lost := volume("pvc-copy", copyName, map[string]any{"restoreInitiated": true, "restoreRequired": w.restoreTakes < 0, "robustness": "faulted"})
		if err := w.dynamic.Tracker().Update(longhornResource("volumes"), lost, "longhorn-system"); err != nil {
			w.t.Error(err)
		}
	})
}

// row is a marker row of a time from now.
func (w *world) row(from time.Duration) string {
	return fmt.Sprintf("%d token", time.Now().Add(from).Unix())
}

// A row from before the backup must be in it; a newer one cannot be.
func TestRun_WantsTheMarkerThatTheBackupMustHave(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.rows = map[string]string{"0": w.row(-14 * 24 * time.Hour), "1": w.row(-7 * 24 * time.Hour), "2": w.row(-time.Hour)}
		w.copied = map[string]string{"0": w.rows["0"], "1": w.rows["1"]}
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.noted("last", verify.ReasonVerified, "last"); strings.Contains(got, "no marker row") {
			t.Errorf("noted %s", got)
		}
		if len(w.rows) != 4 {
			t.Errorf("the rows are %v", w.rows)
		}
	})
}

// There are never more than eight rows, and the newest are among them.
func TestRun_WritesInThePlaceOfTheOldestRow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for slot := range 8 {
			w.rows[fmt.Sprint(slot)] = w.row(-time.Duration(100+(slot+3)%8) * time.Minute)
		}
		oldest := "4" // (4+3)%8 = 7
		before := w.rows[oldest]
		w.copied = map[string]string{"6": w.rows["6"], "7": w.rows["7"], "5": w.rows["5"], "4": w.rows["4"], "3": w.rows["3"], "2": w.rows["2"], "1": w.rows["1"], "0": w.rows["0"]}
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.rows) != 8 || w.rows[oldest] == before {
			t.Errorf("the rows are %v", w.rows)
		}
	})
}

// A database that does not run has no marker row that can be asked for; its backup is verified all the same, and that is said.
func TestRun_WithoutADatabase(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		_ = w.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "iris", "iris-a")
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		line := w.noted("last", verify.ReasonVerified, "no marker row was looked for: the database does not run")
		if !strings.Contains(line, `"unmarked":"the database does not run"`) {
			w.t.Errorf("noted: %s", line)
		}
	})
}

// Told to stop in the middle, at every step, it deletes what it has made.
func TestRun_CleansUpWhenItIsToldToStop(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 75 * time.Second, 3 * time.Minute, 6 * time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				ctx, stop := context.WithTimeout(w.t.Context(), after)
				defer stop()
				err := w.run(ctx)
				if err == nil || len(w.left()) > 0 {
					w.t.Errorf("got %v, left: %v", err, w.left())
				}
				if got := w.noted("last", verify.ReasonFailed, ""); got != "" && !strings.Contains(got, `"unclear"`) {
					w.t.Errorf("noted %q", got)
				}
			})
		})
	}
}

// What a run was killed with is deleted by the next one, which then does its own work.
func TestRun_SweepsWhatWasLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.leaves(marks, "uid-dead")
		if err := w.run(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := w.left(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		w.noted("last", verify.ReasonVerified, "last")
	})
}

// leaves puts all of a copy's objects there.
func (w *world) leaves(labels map[string]string, run string) {
	w.t.Helper()
	w.add(leftClass(labels, run), &corev1.Pod{ObjectMeta: about(copyName, "iris", labels, run)},
		&corev1.PersistentVolumeClaim{ObjectMeta: about(copyName, "iris", labels, run)}, volume("pvc-copy", copyName, nil))
}

// Another run that is at work is waited for, and nothing of its own is touched.
func TestRun_LeavesARunThatIsAtWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.leaves(marks, "uid-other")
		w.add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify-0-y", UID: types.UID("uid-other")}})
		err := w.run(w.t.Context())
		if err == nil || !strings.Contains(err.Error(), "is of another run, which is at work") {
			t.Errorf("got %v", err)
		}
		if left := w.left(); len(left) != 4 {
			t.Errorf("left: %v", left)
		}
	})
}

// A run whose node is lost is told to go and never says that it has: what it has left is deleted once its time is over, and not before.
func TestRun_SweepsAfterARunWhoseNodeIsLost(t *testing.T) {
	t.Parallel()
	for left, works := range map[time.Duration]bool{-time.Minute: false, time.Hour: true} {
		inBubble(t, func(w *world) {
			w.leaves(marks, "uid-other")
			w.add(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "iris", Name: "iris-verify-0-y", UID: types.UID("uid-other"), DeletionTimestamp: ago(-left), Finalizers: []string{"f"},
				},
				Status: corev1.PodStatus{Phase: corev1.PodRunning},
			})
			err := w.run(w.t.Context())
			if works != (err != nil && strings.Contains(err.Error(), "is of another run, which is at work")) || !works && err != nil {
				w.t.Errorf("told to go %v from now: got %v", left, err)
			}
		})
	}
}

// The second attempt of a job might verify another backup and find it good: after a bad one there is none. Another job's result is none of its.
func TestRun_ABadBackupIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for job, ends := range map[string]bool{"uid-job": true, "uid-another": false} {
		inBubble(t, func(w *world) {
			isController := true
			w.add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "iris", Name: "iris-verify-1-x", UID: ownRun,
				OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: "iris-verify-1", UID: types.UID(job), Controller: &isController}},
			}})
			w.integrity = "\nha-iris integrity 0 930\n2 errors\n"
			if err := w.run(w.t.Context()); !errors.Is(err, verify.ErrBad) {
				w.t.Fatalf("got %v", err)
			}
			noted := w.noted("last", verify.ReasonFailed, "has found errors")
			if !strings.Contains(noted, `"job":"`+job+`"`) {
				w.t.Errorf("noted %s", noted)
			}
			w.integrity = "\nha-iris integrity 1\n"
			w.add(backupObject("newer", time.Hour, "Completed"))
			if !ends {
				_ = w.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "iris", "iris-verify-1-x")
			}
			err := w.run(w.t.Context())
			if ends && (!errors.Is(err, verify.ErrBad) || !strings.Contains(err.Error(), "an earlier attempt of this job has ended with: ")) || !ends && err != nil {
				w.t.Errorf("job %s: got %v", job, err)
			}
			if got := w.noted("last", verify.ReasonFailed, ""); got != noted {
				w.t.Errorf("noted %s, was %s", got, noted)
			}
		})
	}
}

// Whatever has one of the names and not all marks of this stack is never deleted, and is named.
func TestRun_NeverDeletesWhatIsSomebodyElses(t *testing.T) {
	t.Parallel()
	another := map[string]string{"ha-iris/verify": "copy", "ha-iris/namespace": "iris", "ha-iris/owner": "34cd"}
	for name, object := range map[string]runtime.Object{
		"Pod iris-verify-copy":                   &corev1.Pod{ObjectMeta: about(copyName, "iris", nil, "")},
		"PersistentVolumeClaim iris-verify-copy": &corev1.PersistentVolumeClaim{ObjectMeta: about(copyName, "iris", another, "uid-dead")},
		"StorageClass ha-iris-verify-iris":       leftClass(another, ownRun),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.add(object)
				err := w.run(w.t.Context())
				if err == nil || !strings.Contains(err.Error(), name+" has the name that the verification needs") || !strings.Contains(err.Error(), "kubectl ") {
					w.t.Errorf("got %v", err)
				}
				if left := w.left(); len(left) != 1 {
					w.t.Errorf("left: %v", left)
				}
				for _, action := range w.core.Actions() {
					if action.GetVerb() == "delete" {
						w.t.Errorf("deleted %+v", action)
					}
				}
			})
		})
	}
}

// What comes in between the sweep and the creation is nobody's to delete either.
func TestRun_DoesNotTakeOverWhatComesInBetween(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		added := false
		w.core.PrependReactor("create", "storageclasses", w.addsOnce(&added))
		err := w.run(w.t.Context())
		if err == nil || !strings.Contains(err.Error(), "the name is taken: PersistentVolumeClaim iris-verify-copy") {
			t.Errorf("got %v", err)
		}
		if left := w.left(); strings.Join(left, " ") != "claim" {
			t.Errorf("left: %v", left)
		}
	})
}

// A result that is nowhere fails the run: the ConfigMap of an earlier stack of the name is left as it is, and what was found is said.
func TestRun_AResultThatIsNotNotedFailsTheRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.add(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify", Labels: map[string]string{
				"ha-iris/verify": "results", "ha-iris/namespace": "iris", "ha-iris/owner": "34cd",
			}},
			Data: map[string]string{"theirs": "x"},
		})
		const want = "backup last was found good, and that was not noted: the ConfigMap iris/iris-verify: the name is taken"
		if err := w.run(w.t.Context()); err == nil || errors.Is(err, verify.ErrBad) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if got := w.noted("last", verify.ReasonFailed, want); got != "" || len(w.left()) > 0 {
			t.Errorf("noted %q, left: %v", got, w.left())
		}
	})
}

// What stays although it was deleted is an error and an event of its own, and the result stands.
func TestRun_SaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.keepsVolume = true
		err := w.run(w.t.Context())
		if err == nil || !strings.Contains(err.Error(), "something of the copy is left: after 4m0s: volume pvc-copy") {
			t.Errorf("got %v", err)
		}
		w.noted("last", verify.ReasonCleanupFailed, "volume pvc-copy")
		if got := w.noted("last", verify.ReasonVerified, "last"); !strings.Contains(got, `"good"`) {
			t.Errorf("noted %q", got)
		}
	})
}

// An API server that is away for a while ends nothing.
func TestRun_OutlastsAnAPIServerThatIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.onCheck = func() {
			w.away = true
			time.AfterFunc(20*time.Minute, func() { w.away = false })
		}
		if err := w.run(w.t.Context()); err != nil {
			t.Error(err)
		}
		if left := w.left(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
