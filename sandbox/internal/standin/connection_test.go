package standin

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// attachers are the sidecar's pods on the three nodes.
func attachers() []runtime.Object {
	var pods []runtime.Object
	for _, node := range []string{"a", "b", "c"} {
		pods = append(pods, systemPod(attacherName, node))
	}
	return pods
}

// detaching is a harness whose volume is attached to b, and whose attachment there somebody has deleted.
func detaching(t *testing.T) *harness {
	t.Helper()
	attachment := attachmentTo("b", true)
	attachment.Finalizers = []string{attachFinalizerOf(driverName)}
	attachment.DeletionTimestamp = ptr(metav1.Now())
	return newHarness(t, world(installed(nil), attachers(), boundClaim("b"), attachment)...)
}

// connected makes the driver's connection and returns the node that it leads to.
func (h *harness) connected() string {
	h.t.Helper()
	if _, err := h.connect(longhornNamespace); err != nil {
		h.t.Fatalf("connect: %v", err)
	}
	return h.backend.node
}

// detached lets the attacher work until the attachment is free, and returns how long that took.
func (h *harness) detached() time.Duration {
	h.t.Helper()
	began := h.clock.Now()
	for len(h.attachment("to-b").Finalizers) > 0 {
		again := h.call(h.syncAttachment, "to-b")
		if again == 0 {
			continue
		}
		h.clock.Step(again)
		if h.clock.Now().Sub(began) > time.Minute {
			h.t.Fatal("not detached within a minute")
		}
	}
	return h.clock.Now().Sub(began)
}

func TestConnection_ToADeadManagerCostsOneTimeLimit(t *testing.T) {
	t.Parallel()
	h := detaching(t)
	dead := h.connected()
	h.silence(dead)
	// The request's time limit, the attacher's pause, and the tick of the request that is answered.
	if took := h.detached(); took != requestTimeout+time.Second+attachTick {
		t.Errorf("took %s", took)
	}
	if failure := h.attachment("to-b").Status.DetachError; failure == nil || !strings.Contains(failure.Message, "Client.Timeout exceeded") {
		t.Errorf("reported %+v", failure)
	}
}

func TestConnection_ToALivingManagerCostsNothing(t *testing.T) {
	t.Parallel()
	h := detaching(t)
	alive := h.connected()
	for _, node := range []string{"a", "b", "c"} {
		if node != alive {
			h.silence(node)
			break
		}
	}
	if took := h.detached(); took != attachTick {
		t.Errorf("took %s", took)
	}
}

// A drained node's machine shuts down in order. What its pods still say in the API server for a while changes nothing.
func TestConnection_ToARemovedNodeIsClosed(t *testing.T) {
	t.Parallel()
	h := detaching(t)
	for range 2 { // The manager that it leads to, and the one that it leads to next.
		removed := h.connected()
		if err := h.client.CoreV1().Nodes().Delete(t.Context(), removed, metav1.DeleteOptions{}); err != nil {
			t.Fatalf("delete node: %v", err)
		}
		h.refresh()
		if silent, err := h.connect(longhornNamespace); err != nil || silent || h.backend.node == removed {
			t.Fatalf("after %s is gone the connection leads to %q, silent %t, %v", removed, h.backend.node, silent, err)
		}
	}
	if took := h.detached(); took != attachTick {
		t.Errorf("took %s", took)
	}
}

func TestConnection_OfAnAttacherOnTheDeadNodeDiesWithIt(t *testing.T) {
	t.Parallel()
	h := detaching(t)
	h.connected()
	leader, err := h.leader(longhornNamespace)
	if err != nil || leader == nil || leader.Spec.NodeName != "a" {
		t.Fatalf("leader is %v, %v", leader, err)
	}
	h.silence("a")
	for _, pod := range []string{managerName + "-a", attacherName + "-a"} {
		h.markUnready(pod)
	}
	if silent, err := h.connect(longhornNamespace); err != nil || silent || h.backend.node == "a" {
		t.Errorf("the next leader's connection leads to %q, silent %t, %v", h.backend.node, silent, err)
	}
}

func TestConnection_ATimedOutOneFailsTheAttachmentToo(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), attachers(), boundClaim(""), attachmentTo("b", false))...)
	h.silence(h.connected())
	if again := h.call(h.syncAttachment, "to-b"); again != requestTimeout {
		t.Errorf("waits for %s", again)
	}
	h.clock.Step(requestTimeout)
	h.call(h.syncAttachment, "to-b")
	if got := h.attachError("to-b"); got != "rpc error: code = NotFound desc = node b not found" {
		t.Errorf("got %q", got)
	}
}

// markUnready is what the node lifecycle controller makes of a dead node's pod of Longhorn's.
func (h *harness) markUnready(name string) {
	h.t.Helper()
	pods := h.client.CoreV1().Pods(longhornNamespace)
	pod, err := pods.Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read pod: %v", err)
	}
	pod.Status.Conditions = nil
	if _, err := pods.Update(h.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		h.t.Fatalf("update pod: %v", err)
	}
	h.refresh()
}
