package standin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const bucketURL = "s3://backups@eu-central-1/"

func keys(name string, data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: name}, Data: map[string][]byte{}}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	return secret
}

func s3Keys(name string) *corev1.Secret {
	return keys(name, map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"})
}

// aim sets the default target.
func (r *rig) aim(address, secret string) {
	r.t.Helper()
	r.edit(targetKind, defaultTarget, func(target *unstructured.Unstructured) {
		put(target, address, "spec", "backupTargetURL")
		put(target, secret, "spec", "credentialSecret")
	})
	r.look()
}

// withBucket is a rig whose default target can be reached.
func withBucket(r *rig) *rig {
	r.t.Helper()
	r.add(s3Keys("bucket"))
	r.refresh()
	r.look()
	r.aim(bucketURL, "bucket")
	return r
}

func (r *rig) target() (available bool, message string) {
	r.t.Helper()
	object := r.longhornObject(targetKind, defaultTarget)
	condition := conditionOf(conditionsOf(object), "Unavailable")
	message, _ = condition["message"].(string)
	available = truthAt(object, "status", "available")
	if len(condition) > 0 && available == (condition["status"] == "True") {
		r.t.Errorf("available %t, but condition %v", available, condition)
	}
	return available, message
}

func TestTarget_ComesFromTheConfigMapWhichOverwritesWhenItChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", nil)
	if available, message := r.target(); available || message != "backup target URL is empty" ||
		r.field(targetKind, defaultTarget, "spec", "pollInterval") != "5m0s" {
		t.Errorf("got %t, %q", available, message)
	}
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: resourceConfigMap, ResourceVersion: "7"},
		Data:       map[string]string{resourceKey: "backup-target: " + bucketURL + "\nbackupstore-poll-interval: \"60\"\n"},
	}
	r.add(config)
	r.add(s3Keys("mine"))
	r.refresh()
	r.edit(targetKind, defaultTarget, func(target *unstructured.Unstructured) { put(target, "mine", "spec", "credentialSecret") })
	r.pass(2 * time.Second)
	if got := r.field(targetKind, defaultTarget, "spec", "credentialSecret"); got != "mine" {
		t.Errorf("got secret %q, want what the ConfigMap does not name to stay", got)
	}
	if available, message := r.target(); !available || r.field(targetKind, defaultTarget, "spec", "pollInterval") != "1m0s" {
		t.Errorf("got %t, %q", available, message)
	}
	r.aim("nfs://elsewhere:/export", "")
	r.pass(2 * time.Second)
	if got := r.field(targetKind, defaultTarget, "spec", "backupTargetURL"); got != "nfs://elsewhere:/export" {
		t.Errorf("an edit was overwritten by a ConfigMap that did not change: %s", got)
	}
}

func TestTarget_SaysWhyItCannotBeReached(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", nil)
	r.add(s3Keys("good"))
	r.add(keys("empty", nil))
	r.add(keys("half", map[string]string{"AWS_ACCESS_KEY_ID": "id"}))
	r.add(keys("role", map[string]string{"AWS_IAM_ROLE_ARN": "arn:aws:iam::1:role/x"}))
	r.add(keys("azure", map[string]string{"AZBLOB_ACCOUNT_NAME": "a", "AZBLOB_ACCOUNT_KEY": "k"}))
	r.refresh()
	for _, c := range []struct{ address, secret, want string }{
		{bucketURL, "good", ""},
		{bucketURL, "role", ""},
		{"azblob://c@core.windows.net/", "azure", ""},
		{"nfs://server:/export?nfsOptions=soft", "", ""},
		{bucketURL, "half", "missing [AWS_SECRET_ACCESS_KEY] in the secret"},
		{bucketURL, "empty", "missing [AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY] in the secret"},
		{"s3://backups@eu-central-1", "good", "invalid URL. Must be either s3://bucket@region/path/"},
		{"azblob://c@core.windows.net/", "good", "missing [AZBLOB_ACCOUNT_NAME AZBLOB_ACCOUNT_KEY]"},
		{"gs://bucket/", "", "driver gs is not supported"},
		{"", "", "backup target URL is empty"},
	} {
		r.aim(c.address, c.secret)
		available, message := r.target()
		if available != (c.want == "") || !strings.Contains(message, c.want) {
			t.Errorf("%s with %s: got %t, %q; want %q", c.address, c.secret, available, message, c.want)
		}
	}
}

// The original only logs it, and tries again.
func TestTarget_WithoutItsSecretSaysNothingUntilTheSecretIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", nil)
	r.edit(targetKind, defaultTarget, func(target *unstructured.Unstructured) { delete(target.Object, "status") })
	r.aim(bucketURL, "late")
	if available, message := r.target(); available || message != "" {
		t.Errorf("got %t, %q", available, message)
	}
	r.add(s3Keys("late"))
	r.refresh()
	r.pass(credentialRetry + time.Second)
	if available, message := r.target(); !available {
		t.Errorf("still unavailable: %s", message)
	}
}

func TestTarget_IsLookedAtAtItsIntervalAndOnDemand(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "", nil))
	file := filepath.Join(r.bucketDir(bucketURL), trouble)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("NoSuchBucket\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.pass(5 * time.Second)
	if available, _ := r.target(); !available {
		t.Error("looked at before it is time")
	}
	r.edit(targetKind, defaultTarget, func(target *unstructured.Unstructured) { put(target, r.now(), "spec", "syncRequestedAt") })
	r.look()
	if available, message := r.target(); available || message != "failed to list system backups in "+bucketURL+": NoSuchBucket" {
		t.Errorf("got %t, %q", available, message)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.idle(defaultPoll + 4*time.Second)
	if available, message := r.target(); !available {
		t.Errorf("not looked at again: %s", message)
	}
}
