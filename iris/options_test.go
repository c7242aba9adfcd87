package iris

import (
	"slices"
	"testing"
)

// The provider's own limit is 10 minutes. A recovery that takes longer would be reported as a failed update.
func TestWaiting_CoversTheRecoveryBudget(t *testing.T) {
	t.Parallel()
	result := mustRun(t, community(func(c *Config) { c.RecoveryBudgetSeconds = 3000 }))
	for typeToken, want := range map[string]string{
		"kubernetes:apps/v1:Deployment": "3600s", // 600 s for scheduling, attaching and pulling.
		"kubernetes:core/v1:Service":    "4200s", // It waits for the pod, and then for the cloud's address.
	} {
		timeouts := result.Find(typeToken)[0].RegisterRPC.GetCustomTimeouts()
		if timeouts.GetCreate() != want || timeouts.GetUpdate() != want {
			t.Errorf("%s: %v, want %s", typeToken, timeouts, want)
		}
	}
}

// The provider answers with data, which repeats stringData in base64.
func TestSecrets_AreMarkedSecretInWhatTheProviderAnswers(t *testing.T) {
	t.Parallel()
	secrets := mustRun(t, licensed()).Find("kubernetes:core/v1:Secret")
	if len(secrets) != 3 {
		t.Fatalf("%d Secrets", len(secrets))
	}
	for _, registration := range secrets {
		marked := registration.RegisterRPC.GetAdditionalSecretOutputs()
		if !slices.Contains(marked, "data") || !slices.Contains(marked, "stringData") {
			t.Errorf("%s: only %q are marked", registration.Name, marked)
		}
	}
}
