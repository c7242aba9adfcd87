package iris

import (
	"slices"
	"testing"
)

// A quota's check asks for these objects by name.
func TestNeeds_NameTheObjectsThatQuotasCount(t *testing.T) {
	t.Parallel()
	cfg := community()
	needs, objects := cfg.Needs(), manifests(t, mustRun(t, cfg))
	for kind, name := range map[string]string{
		"Deployment": needs.Deployment, "PersistentVolumeClaim": needs.Claim, "Service": needs.Service, "DaemonSet": needs.DaemonSet,
	} {
		if !slices.ContainsFunc(objects, func(one manifest) bool { return one.kind == kind && one.name == name }) {
			t.Errorf("no %s %q", kind, name)
		}
	}
}
