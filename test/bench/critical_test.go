package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A state in which a claim waits for Longhorn, the Deployment for the claim, and the Service, as nothing in it says, for the
// Deployment. The ConfigMap waits for nothing but the provider.
const state = `{"deployment": {"resources": [
  {"urn": "urn:pulumi:s::p::a:b:Storage::storage", "type": "a:b:Storage"},
  {"urn": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster", "type": "pulumi:providers:kubernetes", "custom": true,
    "created": "2026-01-01T00:00:01Z"},
  {"urn": "urn:pulumi:s::p::kubernetes:helm.sh/v3:Release::longhorn", "type": "kubernetes:helm.sh/v3:Release", "custom": true,
    "created": "2026-01-01T00:00:06Z", "provider": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster::id"},
  {"urn": "urn:pulumi:s::p::kubernetes:core/v1:Service::iris-svc", "type": "kubernetes:core/v1:Service", "custom": true,
    "created": "2026-01-01T00:00:09.25Z", "provider": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster::id"},
  {"urn": "urn:pulumi:s::p::kubernetes:core/v1:PersistentVolumeClaim::iris-pvc", "type": "kubernetes:core/v1:PersistentVolumeClaim",
    "custom": true, "created": "2026-01-01T00:00:06.5Z", "provider": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster::id",
    "dependencies": ["urn:pulumi:s::p::kubernetes:helm.sh/v3:Release::longhorn"],
    "propertyDependencies": {"spec": ["urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::settings"]}},
  {"urn": "urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::settings", "type": "kubernetes:core/v1:ConfigMap", "custom": true,
    "created": "2026-01-01T00:00:05Z", "provider": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster::id"},
  {"urn": "urn:pulumi:s::p::kubernetes:apps/v1:Deployment::iris", "type": "kubernetes:apps/v1:Deployment", "custom": true,
    "created": "2026-01-01T00:00:09Z", "provider": "urn:pulumi:s::p::pulumi:providers:kubernetes::cluster::id",
    "dependencies": ["urn:pulumi:s::p::kubernetes:core/v1:PersistentVolumeClaim::iris-pvc"]}
]}}`

func TestCriticalPath_IsTheChainThatEndsLast(t *testing.T) {
	t.Parallel()
	path, total, err := criticalPath([]byte(state), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatalf("critical path: %v", err)
	}
	var got strings.Builder
	for _, s := range path {
		fmt.Fprintf(&got, "%s %.2f; ", s.Name, s.Seconds)
	}
	want := "kubernetes provider 1.00; Release longhorn 5.00; PersistentVolumeClaim iris-pvc 0.50; " +
		"Deployment iris 2.50; Service iris-svc 0.25; "
	if got.String() != want || total != 6 {
		t.Errorf("got %s of %d, want %s of 6", got.String(), total, want)
	}
}

func TestCriticalPath_RefusesAStateWithoutTimes(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"", "{}", `{"deployment": {"resources": [{"urn": "u", "custom": true}]}}`} {
		if path, _, err := criticalPath([]byte(state), time.Now()); err == nil {
			t.Errorf("%q: got %v, want an error", state, path)
		}
	}
}
