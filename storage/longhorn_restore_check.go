package storage

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ha-iris/internal/claims"
	"ha-iris/internal/clock"
	"ha-iris/internal/live"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// volumeUnit is what sizes of volumes are multiples of (longhorn-manager util.RoundUpSize).
const volumeUnit = int64(2) << 20

// longhornRestore is Longhorn's Restorer.
type longhornRestore struct {
	keeper      *keeper
	cfg         Config
	generations Generations
}

var _ Restorer = (*longhornRestore)(nil)

// Check implements Restorer.
func (r *longhornRestore) Check(ctx context.Context) error {
	if err := r.checkBackup(ctx); err != nil || !r.keeper.asks() {
		return err
	}
	if r.keeper.preview && r.generations.first() {
		return nil // Its class is made again in the same update, if need be.
	}
	return r.checkClass(ctx)
}

// checkClass refuses a class that was made for another source, by an update that did not get as far as the claim: the class fills the volume
// whatever the claim says, and with a snapshot too it would (longhorn-manager csi/controller_server.go, CreateVolume).
func (r *longhornRestore) checkClass(ctx context.Context) error {
	name := r.cfg.ClassName
	if !r.generations.first() {
		name = laterClass(r.cfg, r.generations.Newest)
	}
	var class longhornClass
	found, err := r.keeper.live.Get(ctx, "/apis/storage.k8s.io/v1/storageclasses/"+name, &class)
	if err != nil {
		return r.keeper.unknown("The StorageClass "+name, fmt.Errorf("look at StorageClass %s: %w", name, err))
	}
	made := class.Parameters[fromBackup]
	if !found || rules.WithoutOptions(made) == rules.WithoutOptions(r.generations.Backup) {
		return nil
	}
	wayOut := "" // The first one's class is made again with the configuration.
	if !r.generations.first() {
		wayOut = fmt.Sprintf(". Or set iris.generation to %d, take iris.restoreFrom out and pulumi up, which removes the class, and then this again",
			r.generations.Newest-1)
	}
	return fmt.Errorf("iris.restoreFrom: got %s, want %s, from which the StorageClass %s fills its volume: an earlier update has made it%s",
		r.generations.source(), fromBackupOrNot(made), name, wayOut)
}

// checkFirstSource refuses another source of the first generation when its claim is there. The claim's own hook says the same, but the class
// would have been deleted and made again for that source by then. What nobody may look at is left to that hook.
func checkFirstSource(ctx context.Context, args *Args) error {
	if args.Live == nil || !args.Live.Known() {
		return nil
	}
	var class longhornClass
	made, err := args.Live.Get(ctx, "/api/v1/namespaces/"+args.Generations.Namespace+"/persistentvolumeclaims/"+claims.First, nil)
	if made && err == nil {
		made, err = args.Live.Get(ctx, "/apis/storage.k8s.io/v1/storageclasses/"+args.Config.ClassName, &class)
	}
	switch {
	case live.IsForbidden(err), err == nil && !made:
		return nil
	case err != nil:
		return fmt.Errorf("look at what the volume was made from: %w", err)
	}
	from, want := class.Parameters[fromBackup], "nothing"
	if rules.WithoutOptions(from) == rules.WithoutOptions(args.Generations.Backup) {
		return nil
	}
	if from != "" {
		want = fromBackupOrNot(from) + " or nothing"
	}
	return fmt.Errorf("iris.restoreFrom: got %s, want %s: the volume of generation 1 is there and has its data. To restore, set iris.generation to 2 with it",
		fromBackupOrNot(args.Generations.Backup), want)
}

// longhornClass is a StorageClass, as far as it is read.
type longhornClass struct {
	Parameters map[string]string `json:"parameters"`
}

// source is what the newest generation is filled from, in words.
func (g Generations) source() string {
	if g.Snapshot != "" {
		return "snapshot " + g.Snapshot
	}
	return fromBackupOrNot(g.Backup)
}

func fromBackupOrNot(address string) string {
	if address == "" {
		return "no backup"
	}
	return "backup " + rules.WithoutOptions(address)
}

// longhornBackup is Longhorn's object, as far as it is read.
type longhornBackup struct {
	Status struct {
		State      string `json:"state"`
		Error      string `json:"error"`
		VolumeName string `json:"volumeName"`
		VolumeSize string `json:"volumeSize"`
		Target     string `json:"backupTargetName"`
	} `json:"status"`
}

// seen is what a look at a backup has found.
type seen struct {
	// wrong are the reasons why it cannot be restored.
	wrong problems.List
	// missing is what is not there yet.
	missing string
	// known says that Longhorn has the right target and has looked what is in it; synced is when.
	known  bool
	synced string
}

// checkBackup refuses a backup that cannot be restored into a volume of this size. In a preview it looks once, and what is not there yet
// counts only where it would have to be there; in an update it waits until Longhorn has read the target.
func (r *longhornRestore) checkBackup(ctx context.Context) error {
	k := r.keeper
	if r.generations.Backup == "" {
		return nil
	}
	address, wrong := parseBackupAddress(r.generations.Backup)
	if wrong != "" { // Validate has refused that.
		return fmt.Errorf("%s: got %s, want %s", restoreKey, wrong, wantBackup)
	}
	if err := r.checkTarget(address); err != nil {
		return err
	}
	if !k.asks() {
		return nil
	}
	if k.preview {
		found, err := r.look(ctx, address)
		switch {
		case err != nil:
			return k.unknown("The backup to restore", fmt.Errorf("look at backup %s: %w", address.backup, err))
		case found.missing != "" && found.known:
			found.wrong.AddSecret(restoreKey, found.missing, "one that is there and Completed: "+listBackups)
		case found.missing != "":
			k.log.warn(fmt.Sprintf("The backup to restore, %s, could not be looked at yet: %s. The update looks before it makes the volume.",
				address.backup, found.missing))
		}
		return found.wrong.Err()
	}
	return r.awaitBackup(ctx, address)
}

// checkTarget refuses a backup of another target, as far as the configuration says.
func (r *longhornRestore) checkTarget(address backupAddress) error {
	if r.cfg.Backup.Target == "" || targetBase(r.cfg.Backup.Target) == address.target {
		return nil
	}
	return otherTarget(address)
}

// hasTarget reports whether the configuration has a backup target, in whatever way.
func (r *longhornRestore) hasTarget() bool {
	return r.cfg.Backup.enabled() || value(r.cfg.Values, "defaultBackupStore") != nil
}

func otherTarget(address backupAddress) error {
	return fmt.Errorf("%s: got a backup in %s, want one in the stack's own backup target: set storage.backup.target to where the backup is, "+
		"with its login, or take a backup that is in the stack's (output backupTarget)", restoreKey, address.target)
}

// look looks at the target and the backup once.
func (r *longhornRestore) look(ctx context.Context, address backupAddress) (seen, error) {
	var found seen
	var target backupTarget
	there, err := r.keeper.live.Get(ctx, backupTargetPath, &target)
	switch {
	case err != nil:
		return found, err
	case !there:
		found.missing = "Longhorn is not there yet"
		return found, nil
	case targetBase(target.Spec.URL) != address.target:
		if r.cfg.Backup.Target == "" && target.Spec.URL != "" || !r.hasTarget() {
			found.wrong.Merge(otherTarget(address))
			return found, nil
		}
		found.missing = "Longhorn has not taken the backup target yet" // Which this update gives it.
		return found, nil
	}
	found.known, found.synced = target.Status.LastSyncedAt != "", target.Status.LastSyncedAt
	var backup longhornBackup
	there, err = r.keeper.live.Get(ctx, longhornPath+"backups/"+address.backup, &backup)
	if err != nil {
		return found, err
	}
	if !there {
		found.missing = fmt.Sprintf("%s, which Longhorn does not find in the backup target", address.backup)
		return found, nil
	}
	r.judge(address, backup, &found)
	return found, nil
}

// judge says what is wrong with a backup that is there.
func (r *longhornRestore) judge(address backupAddress, backup longhornBackup, found *seen) {
	status := backup.Status
	switch status.State {
	case "Completed":
	case "Error":
		found.wrong.AddSecret(restoreKey, fmt.Sprintf("%s, which failed: %s", address.backup, r.cfg.redact(status.Error)),
			"one that is Completed: "+listBackups)
		return
	default:
		found.missing = fmt.Sprintf("%s, whose state is %q", address.backup, status.State)
		return
	}
	if status.VolumeName != address.volume {
		found.wrong.AddSecret(restoreKey, fmt.Sprintf("%s of volume %s", address.backup, address.volume),
			fmt.Sprintf("volume %s, whose backup that is", status.VolumeName))
	}
	if status.Target != "" && status.Target != "default" {
		found.wrong.AddSecret(restoreKey, fmt.Sprintf("%s in Longhorn's backup target %s", address.backup, status.Target),
			"one in the stack's own (output backupTarget)")
	}
	size, err := strconv.ParseInt(status.VolumeSize, 10, 64)
	if err != nil {
		found.wrong.AddSecret(restoreKey, fmt.Sprintf("%s, whose size %q is no number", address.backup, status.VolumeSize), "another backup")
		return
	}
	// Longhorn would make the volume as large as the backup's, and tell Kubernetes the size that was asked for (longhorn-manager
	// webhook/resources/volume/mutator.go, csi/controller_server.go).
	if asked, err := rules.ParseSize(r.generations.Size); err == nil && roundUp(asked) != size {
		found.wrong.Add("iris.size", r.generations.Size, fmt.Sprintf("%s, the size of the backup's volume: a restored one has exactly that. "+
			"It can grow afterwards", rules.FormatSize(size)))
	}
}

func roundUp(size int64) int64 { return (size + volumeUnit - 1) / volumeUnit * volumeUnit }

// awaitBackup waits until Longhorn knows the backup: after an installation it has to read the target first.
func (r *longhornRestore) awaitBackup(ctx context.Context, address backupAddress) error {
	k := r.keeper
	watch := clock.Watch{
		Budget: targetBudget, Tick: driverTick, Report: driverReport, Now: k.now, Pause: k.sleep,
		Say: func(state string, waited time.Duration) {
			k.log.info(fmt.Sprintf("Waiting for the backup to restore for %.0f s: %s", waited.Seconds(), state))
		},
	}
	asking := &targetWait{keeper: k}
	var last seen
	var failed error
	found, waited, err := watch.Until(ctx, func() clock.Found {
		last, failed = r.look(ctx, address)
		if failed == nil && last.missing != "" && last.known && !asking.asked {
			failed = asking.ask(ctx, last.synced)
		}
		if failed != nil {
			return clock.Found{Hopeless: live.IsForbidden(failed), State: failed.Error()} // The API server may be away for a moment.
		}
		wrong := last.wrong.Err() != nil
		return clock.Found{Done: !wrong && last.missing == "", Hopeless: wrong, State: last.missing}
	})
	switch {
	case err != nil:
		return fmt.Errorf("wait for the backup to restore: %w", err)
	case failed != nil:
		return k.unknown("The backup to restore", fmt.Errorf("look at backup %s: %w", address.backup, failed))
	case !found.Done && !found.Hopeless:
		last.wrong.AddSecret(restoreKey, fmt.Sprintf("%s, after %.0f s", last.missing, waited.Seconds()),
			"one that is there and Completed: "+listBackups)
	}
	return last.wrong.Err()
}
