package iris

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

func TestScratch_RunsUnderItsOwnPolicy(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community())
	policy := decode[networkingv1.NetworkPolicy](t, manifests(t, result), "NetworkPolicy", "iris-scratch")
	if got := policy.Spec.PodSelector.MatchLabels["app"]; got != "iris-scratch" {
		t.Errorf("the policy is for %q", got)
	}
	if got := policy.Spec.Egress[0].Ports[0].Port.IntValue(); got != 443 || len(policy.Spec.Ingress) > 0 {
		t.Errorf("the policy is %+v", policy.Spec)
	}
	deployment := result.One(t, "kubernetes:apps/v1:Deployment", "iris-scratch")
	for _, name := range []string{"iris-scratch", denyAllName} {
		urn := result.One(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy", name).URN
		if !slices.Contains(deployment.RegisterRPC.GetDependencies(), urn) {
			t.Errorf("its pods can run before %s", name)
		}
	}
}

func TestScratch_ChangesNothingOfTheDatabase(t *testing.T) {
	t.Parallel()
	deployment := mustRun(t, community()).One(t, "kubernetes:apps/v1:Deployment", deploymentName)
	for _, urn := range deployment.RegisterRPC.GetDependencies() {
		if urn == mustRun(t, community()).One(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy", "iris-scratch").URN {
			t.Errorf("the database waits for %s", urn)
		}
	}
}
