package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

const (
	backupTargetPath = longhornPath + "backuptargets/default"
	// targetBudget is how long the target may take to become available. Longhorn looks again every 30 s after a failure (its resync), and
	// a cloud may take a minute until a new key or role is known everywhere.
	targetBudget = 3 * time.Minute
	// forgetTarget makes Longhorn forget an address. It removes the backups' objects, not what is in the bucket
	// (longhorn-manager, backup_target_controller.go, cleanupBackupVolumes).
	forgetTarget = `kubectl -n ` + namespaceName + ` patch backuptargets.longhorn.io default --type merge -p ` +
		`'{"spec":{"backupTargetURL":"","credentialSecret":""}}'`
)

// backupTarget is Longhorn's object, as far as it is read.
type backupTarget struct {
	Spec struct {
		URL        string `json:"backupTargetURL"`
		Credential string `json:"credentialSecret"`
	} `json:"spec"`
	Status struct {
		Available    bool            `json:"available"`
		LastSyncedAt string          `json:"lastSyncedAt"`
		Conditions   live.Conditions `json:"conditions"`
	} `json:"status"`
}

// targetWait is the wait for Longhorn to use a target.
type targetWait struct {
	keeper *keeper
	cfg    Config
	// url and secret are what the target has to have. Without a secret it may have one: it keeps that of an earlier target, which it then
	// does not read (longhorn.md 3.2 and 7).
	url, secret string
	// asked says that Longhorn was asked to look again, synced when it had looked last before that.
	asked  bool
	synced string
}

// guardBackup returns the job's option that waits for the target before the job is written. Like Longhorn's driver (guardClass), the
// target is waited for by what needs it, so that a run which has failed waits again the next time.
func (k *keeper) guardBackup(ctx *pulumi.Context, name string, cfg Config, on backedUp) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(ctx, name+"-guard-backup", func(_, after guard.Inputs) error {
		return k.beforeBackup(ctx.Context(), cfg, on.store, after)
	})
}

func (k *keeper) beforeBackup(ctx context.Context, cfg Config, store *backupStore, after guard.Inputs) error {
	if k.preview || !k.asks() {
		return nil
	}
	if err := k.checkIdentity(ctx, store.podVariable); err != nil {
		return err
	}
	wait := &targetWait{keeper: k, cfg: cfg, url: cfg.Backup.Target}
	if cfg.Backup.Managed { // Known since the bucket is there.
		wait.url = after.Text("metadata", "annotations", targetAnnotation)
	}
	if len(store.credentials) > 0 {
		wait.secret = backupSecretName
	}
	return wait.await(ctx)
}

// await waits until Longhorn has looked at the target, as it is now, and calls it available.
func (w *targetWait) await(ctx context.Context) error {
	k := w.keeper
	watch := clock.Watch{
		Budget: targetBudget, Tick: driverTick, Report: driverReport, Now: k.now, Pause: k.sleep,
		Say: func(state string, waited time.Duration) {
			k.log.info(fmt.Sprintf("Waiting for the backup target for %.0f s: %s", waited.Seconds(), state))
		},
	}
	var failed error
	found, waited, err := watch.Until(ctx, func() clock.Found {
		done, state, err := w.look(ctx)
		if failed = err; err != nil {
			state = err.Error() // The API server may be away for a moment.
		}
		return clock.Found{Done: done, Hopeless: live.IsForbidden(err), State: w.cfg.redact(state)}
	})
	switch {
	case err != nil:
		return fmt.Errorf("wait for the backup target: %w", err)
	case found.Done:
		return nil
	case failed != nil:
		return k.unknown("The backup target", fmt.Errorf("look at the backup target: %w", failed))
	}
	return fmt.Errorf("storage.backup: Longhorn cannot use the backup target after %.0f s: %s\n  Check %s. Longhorn and the volume are as "+
		"they should be, backups are not. Then pulumi up again (docs/operations.md, \"Backups\")", waited.Seconds(), found.State, w.advice())
}

// look says how far Longhorn is, and asks it to look at the target once it has the right one.
func (w *targetWait) look(ctx context.Context) (done bool, state string, err error) {
	var target backupTarget
	found, err := w.keeper.live.Get(ctx, backupTargetPath, &target)
	switch {
	case err != nil:
		return false, "", err
	case !found:
		return false, "Longhorn has not made its object BackupTarget default yet", nil
	case target.Spec.URL != w.url || w.secret != "" && target.Spec.Credential != w.secret:
		return false, "Longhorn has not taken the new target yet", nil
	case !w.asked:
		return false, "Longhorn is asked to look at it", w.ask(ctx, target.Status.LastSyncedAt)
	case target.Status.Available && target.Status.LastSyncedAt != "" && target.Status.LastSyncedAt != w.synced:
		return true, "", nil
	}
	for _, condition := range target.Status.Conditions {
		if condition.Type == "Unavailable" && condition.Status == "True" {
			return false, w.hidden(ctx, condition.Message), nil
		}
	}
	return false, "Longhorn gives no reason, as when it cannot read the Secret; its log may: kubectl -n " + namespaceName +
		" logs -l app=" + managerApp + " --tail=-1 | grep -i 'backup target'", nil
}

// hidden takes a managed bucket's login out of a text of Longhorn's. The configuration does not have it, and the program knows it only as
// an output; the Secret in the cluster is what Longhorn read.
func (w *targetWait) hidden(ctx context.Context, text string) string {
	if !w.cfg.Backup.Managed || w.secret == "" {
		return text // The configuration's login goes with every state.
	}
	var login struct {
		Data map[string][]byte `json:"data"`
	}
	switch found, err := w.keeper.live.Get(ctx, secretsPath+"/"+w.secret, &login); {
	case err != nil:
		return fmt.Sprintf("its message is not shown, because it may quote the login, which could not be read: %v", err)
	case !found:
		return "its login, Secret " + w.secret + " in namespace " + namespaceName + ", is gone"
	}
	for key, value := range login.Data {
		text = redactValue(text, key, string(value))
	}
	return text
}

// ask makes Longhorn look at the target now, as its UI does: what its status says may be of an earlier address or an earlier login.
// Longhorn looks when the time asked for is later than its last look, by its own clock.
func (w *targetWait) ask(ctx context.Context, synced string) error {
	at := w.keeper.now()
	if last, err := time.Parse(time.RFC3339, synced); err == nil && !at.After(last) {
		at = last.Add(time.Second)
	}
	patch := map[string]any{"spec": map[string]any{"syncRequestedAt": at.UTC().Format(time.RFC3339)}}
	if _, err := w.keeper.live.Patch(ctx, backupTargetPath, patch); err != nil {
		return fmt.Errorf("ask Longhorn to look at the backup target: %w", err)
	}
	w.asked, w.synced = true, synced
	return nil
}

// advice is what can be wrong that only the target's owner can see.
func (w *targetWait) advice() string {
	const reach = "that every node reaches it (firewall, proxy)"
	switch scheme, _, _ := strings.Cut(w.url, "://"); scheme {
	case "s3":
		return "the bucket and its region; the key in backupCredentials, which needs s3:ListBucket, s3:GetObject, s3:PutObject and " +
			"s3:DeleteObject; AWS_ENDPOINTS where another service than Amazon's has it; " + reach
	case "azblob":
		return "the container, the account's name and its key in backupCredentials; that the account allows keys; " + reach
	case "nfs":
		return "the export, that it is NFSv4, that the nodes have the NFS client and may write there as root; " + reach
	default:
		return "the share, the login in backupCredentials, that the nodes have cifs-utils; " + reach
	}
}

// targetValue is where the release's inputs have the target.
func targetValue() []any { return []any{"values", "defaultBackupStore", "backupTarget"} }

// refuseOtherTarget refuses to give Longhorn a target in the place of one that somebody else gave it, as in its UI: what is backed up
// there would disappear from sight, and its volumes' next backups would go elsewhere.
func (k *keeper) refuseOtherTarget(ctx context.Context, before, after guard.Inputs) error {
	if !k.backups || !guard.Changed(before, after, targetValue()...) {
		return nil
	}
	var target backupTarget
	if _, err := k.live.Get(ctx, backupTargetPath, &target); err != nil {
		return k.unknown("The backup target", fmt.Errorf("look at the backup target: %w", err))
	}
	there := target.Spec.URL
	if there == "" || there == before.Text(targetValue()...) || there == after.Text(targetValue()...) {
		return nil
	}
	return fmt.Errorf("storage.backup: Longhorn already has the backup target %s, which this stack did not set. Nothing was changed. Either set "+
		"storage.backup.target to it, or make Longhorn forget it, which leaves what is in it as it is: %s", Backup{Target: there}.publicTarget(), forgetTarget)
}

// warnOfTarget warns what becomes of the backups that are there when the target goes away or changes. Nothing deletes them.
func (k *keeper) warnOfTarget(before, after guard.Inputs) {
	path := targetValue()
	switch was, will := before.Text(path...), after.Text(path...); {
	case was == "" || !guard.Changed(before, after, path...):
	case will == "":
		k.log.warn("The backup target is taken away: no more backups are made. Those that are there stay, and Longhorn keeps the address " +
			"until it is told to forget it: " + forgetTarget)
	default:
		k.log.warn("The backup target changes: the backups at the old one stay there, but Longhorn shows and restores only those of the new " +
			"one, and the next backup takes the whole volume.")
	}
}
