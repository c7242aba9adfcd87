package storage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/secret"
)

const testTarget = "s3://acme-backups@eu-west-1/iris/"

// targetWorld is Longhorn's object; synced is when it looked last.
func targetWorld(url, credential string, available bool, synced, reason string) map[string]any {
	status := map[string]any{"available": available, "lastSyncedAt": synced}
	if reason != "" {
		status["conditions"] = []any{map[string]any{"type": "Unavailable", "status": "True", "reason": "Unavailable", "message": reason}}
	}
	return map[string]any{backupTargetPath: map[string]any{
		"spec": map[string]any{"backupTargetURL": url, "credentialSecret": credential}, "status": status,
	}}
}

func waitFor(k *keeper) *targetWait {
	cfg := DefaultConfig()
	cfg.Backup.Target = testTarget
	cfg.BackupCredentials = secret.New(`{"AWS_ACCESS_KEY_ID":"AKIAKEY","AWS_SECRET_ACCESS_KEY":"hunter2hunter2"}`)
	return &targetWait{keeper: k, cfg: cfg, url: testTarget, secret: backupSecretName}
}

// afterPatch makes the world another one once Longhorn was asked to look.
func afterPatch(k *keeper, api *apiServer, later map[string]any) {
	sleep := k.sleep
	k.sleep = func(ctx context.Context, length time.Duration) error {
		api.mu.Lock()
		if api.patched[backupTargetPath] != "" {
			api.objects = later
		}
		api.mu.Unlock()
		return sleep(ctx, length)
	}
}

func TestTarget_IsWaitedForUntilLonghornHasLookedAnew(t *testing.T) {
	t.Parallel()
	const before, after = "2026-01-01T00:00:00Z", "2026-01-02T03:04:07Z"
	k, api, _ := newKeeper(t, targetWorld(testTarget, backupSecretName, true, before, ""))
	afterPatch(k, api, targetWorld(testTarget, backupSecretName, true, after, ""))
	if err := waitFor(k).await(t.Context()); err != nil {
		t.Fatalf("await: %v", err)
	}
	if got := api.patched[backupTargetPath]; got != `{"spec":{"syncRequestedAt":"2026-01-02T03:04:05Z"}}` {
		t.Errorf("asked with %s", got)
	}
	// What it says of before counts for nothing: the login may be another one now.
	k, _, _ = newKeeper(t, targetWorld(testTarget, backupSecretName, true, before, ""))
	if err := waitFor(k).await(t.Context()); err == nil {
		t.Error("the state from before the change counts")
	}
}

// Longhorn compares with its own clock, which may be ahead of this machine's.
func TestTarget_IsAskedForAfterLonghornsLastLook(t *testing.T) {
	t.Parallel()
	k, api, _ := newKeeper(t, targetWorld(testTarget, backupSecretName, true, "2026-01-02T09:00:00Z", ""))
	_ = waitFor(k).await(t.Context())
	if got := api.patched[backupTargetPath]; got != `{"spec":{"syncRequestedAt":"2026-01-02T09:00:01Z"}}` {
		t.Errorf("asked with %s", got)
	}
}

func TestTarget_ThatCannotBeUsedFailsWithLonghornsMessageAndWhatToCheck(t *testing.T) {
	t.Parallel()
	const reason = "failed to list system backups in " + testTarget + ": AccessDenied for AKIAKEY with hunter2hunter2"
	for name, test := range map[string]struct {
		world map[string]any
		want  []string
	}{
		"refused": {targetWorld(testTarget, backupSecretName, false, "", reason), []string{
			"Longhorn cannot use the backup target after 180 s: failed to list system backups in " + testTarget + ": AccessDenied for [secret]",
			"Check the bucket and its region; the key in backupCredentials, which needs s3:ListBucket", `docs/operations.md, "Backups"`,
		}},
		"no reason":      {targetWorld(testTarget, backupSecretName, false, "", ""), []string{"Longhorn gives no reason, as when it cannot read the Secret"}},
		"no object":      {map[string]any{}, []string{"Longhorn has not made its object"}},
		"another target": {targetWorld("s3://other@eu/", backupSecretName, true, "2026-01-01T00:00:00Z", ""), []string{"Longhorn has not taken the new target yet"}},
		"another Secret": {targetWorld(testTarget, "other", true, "2026-01-01T00:00:00Z", ""), []string{"Longhorn has not taken the new target yet"}},
	} {
		k, api, said := newKeeper(t, test.world)
		err := waitFor(k).await(t.Context())
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the message lacks %q:\n%v", name, want, err)
			}
		}
		for _, text := range []string{err.Error(), said.String()} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, "AKIAKEY") {
				t.Errorf("%s: shows the login: %s", name, text)
			}
		}
		if !strings.Contains(said.String(), "Waiting for the backup target for 0 s: ") {
			t.Errorf("%s: said\n%s", name, said)
		}
		if asked := api.patched[backupTargetPath] != ""; asked != strings.HasPrefix(name, "refused") && name != "no reason" {
			t.Errorf("%s: asked: %t", name, asked)
		}
	}
}

func TestTarget_HidesTheLoginOfAManagedBucket(t *testing.T) {
	t.Parallel()
	login := map[string]any{"data": map[string]any{
		"AWS_ACCESS_KEY_ID": []byte("GOOGHMAC1"), "AWS_SECRET_ACCESS_KEY": []byte("hunter2hunter2"), "AWS_ENDPOINTS": []byte("https://s3.example.com"),
	}}
	const reason = "SignatureDoesNotMatch: GOOGHMAC1 hunter2hunter2 at https://s3.example.com"
	for name, test := range map[string]struct {
		secret any
		want   string
	}{
		"read":      {login, "SignatureDoesNotMatch: [secret] [secret] at https://s3.example.com"},
		"no object": {"no JSON", "its message is not shown"},
		"gone":      {nil, "its login, Secret ha-iris-backup-target in namespace longhorn-system, is gone"},
	} {
		world := targetWorld(testTarget, backupSecretName, false, "", reason)
		if test.secret != nil {
			world[secretsPath+"/"+backupSecretName] = test.secret
		}
		k, _, said := newKeeper(t, world)
		wait := waitFor(k)
		wait.cfg = DefaultConfig()
		wait.cfg.Backup.Managed = true
		err := wait.await(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error()+said.String(), "hunter2") {
			t.Errorf("%s: want %q, got %v\n%s", name, test.want, err, said)
		}
	}
}

func TestTarget_HidesItsAddressAmongSecrets(t *testing.T) {
	t.Parallel()
	k, _, said := newKeeper(t, targetWorld(testTarget, backupSecretName, false, "", "failed to list "+testTarget))
	wait := waitFor(k)
	wait.cfg.Secret = true
	err := wait.await(t.Context())
	if err == nil || strings.Contains(err.Error()+said.String(), "acme-backups") || !strings.Contains(err.Error(), "failed to list [secret]") {
		t.Errorf("got %v\n%s", err, said)
	}
}

func TestTarget_AnAPIServerThatAnswersNothingIsWaitedFor(t *testing.T) {
	t.Parallel()
	k, api, _ := newKeeper(t, targetWorld(testTarget, backupSecretName, true, "", ""))
	api.status = http.StatusServiceUnavailable
	sleep := k.sleep
	k.sleep = func(ctx context.Context, length time.Duration) error {
		api.mu.Lock()
		api.status = 0
		api.mu.Unlock()
		return sleep(ctx, length)
	}
	afterPatch(k, api, targetWorld(testTarget, backupSecretName, true, "2026-01-02T03:05:00Z", ""))
	if err := waitFor(k).await(t.Context()); err != nil {
		t.Errorf("await: %v", err)
	}
	k, api, _ = newKeeper(t, nil)
	api.status = http.StatusServiceUnavailable
	if err := waitFor(k).await(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	// Who may not look is not kept from working: Helm and the provider have said what they may not do.
	k, api, lines := newKeeper(t, nil)
	api.status = http.StatusForbidden
	if err := waitFor(k).await(t.Context()); err != nil || !strings.Contains(lines.String(), "warn: The backup target could not be looked at") {
		t.Errorf("got %v\n%s", err, lines)
	}
	if k.now() != testNow() {
		t.Error("what is forbidden is waited for")
	}
	k, _, _ = newKeeper(t, map[string]any{})
	k.sleep = func(context.Context, time.Duration) error { return context.Canceled }
	if err := waitFor(k).await(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTarget_ThatGoesOrChangesIsWarnedOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, after, want string }{
		"goes":    {testTarget, "", "warn: The backup target is taken away: no more backups are made. Those that are there stay"},
		"changes": {testTarget, "s3://other@eu/", "warn: The backup target changes: the backups at the old one stay there"},
		"comes":   {"", testTarget, ""},
		"stays":   {testTarget, testTarget, ""},
		"none":    {"", "", ""},
	} {
		k, _, said := newKeeper(t, nil)
		k.warnOfTarget(toTarget(test.before), toTarget(test.after))
		if got := said.String(); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: said %q, want %q", name, got, test.want)
		}
	}
}

// toTarget is a release's inputs with a target.
func toTarget(target any) guard.Inputs {
	values := map[string]any{}
	if target != "" {
		values["defaultBackupStore"] = map[string]any{"backupTarget": target}
	}
	return inputs(map[string]any{"values": values})
}

func TestTarget_OfSomebodyElseIsNotReplaced(t *testing.T) {
	t.Parallel()
	const other = "s3://by-hand@eu-west-1/"
	unknown := resource.MakeComputed(resource.NewProperty(""))
	for name, test := range map[string]struct {
		there, before string
		after         any
		refused       bool
	}{
		"set in the UI":                     {other, "", testTarget, true},
		"set in the UI after ours":          {other, "s3://was@eu/", testTarget, true},
		"set in the UI, ours not known yet": {other, "", unknown, true},
		"the same":                          {testTarget, "", testTarget, false},
		"ours of before":                    {"s3://was@eu/", "s3://was@eu/", testTarget, false},
		"ours, after a killed run":          {testTarget, "s3://was@eu/", testTarget, false},
		"none":                              {"", "", testTarget, false},
		"something else changes":            {other, testTarget, testTarget, false},
	} {
		for _, preview := range []bool{true, false} {
			k, _, _ := newKeeper(t, targetWorld(test.there, "", true, "", ""))
			k.backups, k.preview = true, preview
			err := k.refuseOtherTarget(t.Context(), toTarget(test.before), toTarget(test.after))
			if (err != nil) != test.refused || test.refused && (!strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), forgetTarget)) {
				t.Errorf("%s, preview %t: %v", name, preview, err)
			}
		}
	}
	k, api, _ := newKeeper(t, targetWorld(other, "", true, "", ""))
	if err := k.refuseOtherTarget(t.Context(), toTarget(""), toTarget("")); err != nil || api.asked > 0 {
		t.Errorf("without backups: asked %d times, %v", api.asked, err)
	}
}

func TestBackup_IsWrittenOnceItsOwnTargetIsAvailable(t *testing.T) {
	t.Parallel()
	const made, later = "s3://made-1a2b3c4@eu-west-1/", "2026-01-02T03:05:00Z"
	managed := DefaultConfig()
	managed.Backup.Managed = true
	plain := DefaultConfig()
	plain.Backup.Target = "nfs://nas:/backups"
	job := inputs(map[string]any{"metadata": map[string]any{"annotations": map[string]any{targetAnnotation: made}}})
	login := pulumi.StringMap{"AWS_IAM_ROLE_ARN": pulumi.String("arn")}
	for name, test := range map[string]struct {
		cfg         Config
		store       *backupStore
		url, secret string
	}{
		"managed": {managed, &backupStore{credentials: login}, made, backupSecretName},
		"plain":   {plain, &backupStore{}, plain.Backup.Target, ""},
	} {
		k, api, _ := newKeeper(t, targetWorld(test.url, test.secret, false, "", ""))
		afterPatch(k, api, targetWorld(test.url, test.secret, true, later, ""))
		if err := k.beforeBackup(t.Context(), test.cfg, test.store, job); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		k, api, _ = newKeeper(t, targetWorld(test.url, backupSecretName, false, "", "")) // Of an earlier target, if this one has none.
		afterPatch(k, api, targetWorld(test.url, backupSecretName, true, later, ""))
		if err := k.beforeBackup(t.Context(), test.cfg, test.store, job); err != nil {
			t.Errorf("%s, with a Secret: %v", name, err)
		}
		k, _, _ = newKeeper(t, targetWorld("s3://other@eu/", test.secret, true, later, ""))
		if err := k.beforeBackup(t.Context(), test.cfg, test.store, job); err == nil {
			t.Errorf("%s: another target counts", name)
		}
		k, api, _ = newKeeper(t, targetWorld(test.url, test.secret, false, "", ""))
		k.preview = true
		if err := k.beforeBackup(t.Context(), test.cfg, test.store, job); err != nil || api.asked > 0 {
			t.Errorf("%s: a preview asked %d times, %v", name, api.asked, err)
		}
	}
	old := &backupStore{credentials: login, podVariable: "IDENTITY"}
	k, api, _ := newKeeper(t, map[string]any{podsOfLonghorn: items{[]any{identityPod("m", "a", map[string]string{"app": managerApp}, "X")}}})
	if err := k.beforeBackup(t.Context(), managed, old, job); err == nil || !strings.Contains(err.Error(), "older than the bucket's identity") || api.patched != nil {
		t.Errorf("pods without the identity: %v", err)
	}
}
