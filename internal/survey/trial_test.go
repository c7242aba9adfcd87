package survey_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/internal/survey"
)

// What refuses a trial, and what that is on a stack that is new, and on one that runs.
func TestTrial_WhatARefusalMeans(t *testing.T) {
	t.Parallel()
	const (
		podSecurity = `pods "ha-iris-survey" is forbidden: violates PodSecurity "restricted:latest": seccompProfile`
		limitRange  = `pods "ha-iris-survey" is forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi`
		webhook     = `admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/iris/ha-iris-survey was blocked: naked pods`
		silent      = `admission webhook "validation.gatekeeper.sh" denied the request without explanation`
		policy      = `pods "ha-iris-survey" is forbidden: ValidatingAdmissionPolicy 'naked' with binding 'all' denied request: no naked pods`
		asWebhook   = `admission webhook "pod-security-webhook.kubernetes.io" denied the request: pods "x" is forbidden: violates PodSecurity "baseline:latest": host`
	)
	for text, blocksNew := range map[string]bool{podSecurity: true, limitRange: true, asWebhook: true, webhook: false, silent: false, policy: false} {
		for _, running := range []bool{false, true} {
			a := healthy()
			if running {
				exists(a)
			}
			a.answers[namespace], a.answers[trial] = object{}, failure{403, text}
			found, err := look(t, a, needs())
			if err != nil {
				t.Fatal(err)
			}
			blocking, warnings := "", text
			if blocksNew && !running {
				blocking, warnings = text, ""
			}
			expect(t, text+": blocking", found.Blocking, blocking)
			expect(t, text+": warnings", found.Warnings, warnings)
		}
	}
}

// nakedPolicy refuses pods that nobody restarts, as the policies of that name do, or owners, and remembers what it saw.
type nakedPolicy struct {
	*api
	minds string
	seen  []corev1.Pod
}

func (p *nakedPolicy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method+" "+r.URL.Path != trial {
		p.api.ServeHTTP(w, r)
		return
	}
	var pod corev1.Pod
	_ = json.NewDecoder(r.Body).Decode(&pod)
	p.seen = append(p.seen, pod)
	if owned := len(pod.OwnerReferences) > 0; owned == (p.minds == "") {
		_, _ = w.Write([]byte("{}"))
		return
	}
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "message": p.minds})
}

func TestTrial_IsAReplicaSetsPod(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		minds string
		asked int
	}{
		"naked pods": {"", 1},
		"owners":     {`pods "ha-iris-survey" is forbidden: cannot set an ownerRef on a resource you can't delete`, 2},
	} {
		p := &nakedPolicy{api: healthy(), minds: test.minds}
		p.answers[namespace] = object{}
		server := httptest.NewServer(p)
		defer server.Close()
		client, err := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{Token: "x"}).Client()
		if err != nil {
			t.Fatal(err)
		}
		cluster := &live.Cluster{}
		cluster.Use("text", client)
		found, err := survey.Look(t.Context(), cluster, needs())
		if err != nil || len(found.Blocking)+len(found.Warnings) > 0 || len(p.seen) != test.asked {
			t.Errorf("%s: got %v, %v; asked %d times", name, found, err, len(p.seen))
			continue
		}
		owners := p.seen[0].OwnerReferences
		if len(owners) != 1 || owners[0].Kind != "ReplicaSet" || owners[0].APIVersion != "apps/v1" || owners[0].UID == "" ||
			owners[0].Controller == nil || owners[0].BlockOwnerDeletion != nil {
			t.Errorf("%s: got %v", name, owners)
		}
	}
}
