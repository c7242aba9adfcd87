package iris

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/claims"
	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/pods"
	"ha-iris/internal/rules"
)

// Restorer is what the storage knows of backups, and of the volumes that it fills.
type Restorer interface {
	// Check returns why the newest generation's claim cannot be filled from the configured source, as far as that is the storage's matter; nil
	// if it can, or if that cannot be found out yet.
	Check(ctx context.Context) error
	// Filled says whether a driver's volume has all its data, and how far it is.
	Filled(ctx context.Context, driver, volume string) (clock.Found, error)
	// Retire has the storage keep the data of a driver's volume whole although nothing uses it any more. Doing it again changes nothing.
	Retire(ctx context.Context, driver, volume string) error
}

// source checks what a claim is to be filled from before the claim is made.
type source struct {
	cfg      Config
	api      pods.Cluster
	restorer Restorer
	preview  bool
	warn     func(text string)
}

// guardSource returns the claims' option that refuses one that would be empty although it is to have data.
func (s *scope) guardSource(args *Args) (pulumi.ResourceOption, error) {
	about := &pulumi.LogArgs{Resource: s.parent}
	from := &source{
		cfg: s.cfg, api: args.API, restorer: args.Restorer, preview: s.ctx.DryRun(),
		warn: func(text string) { _ = s.ctx.Log.Warn(text, about) }, // A failure to log does not stop the run.
	}
	return guard.BeforeCreate(s.ctx, s.name+"-guard-source", func(_, after guard.Inputs) error {
		return from.beforeCreate(s.ctx.Context(), after)
	})
}

func (f *source) beforeCreate(ctx context.Context, after guard.Inputs) error {
	name, from := after.Text("metadata", "name"), f.cfg.RestoreFrom
	generation, _ := claims.Generation(name)
	waits, err := f.reserved(ctx, after)
	switch {
	case err != nil || waits:
		return err
	case generation == 1 && f.cfg.Generation == 1 && from.String() == "":
		return nil
	case generation < f.cfg.Generation:
		return f.missing(ctx, generation)
	case from.String() != "":
		if f.restorer != nil {
			if err := f.restorer.Check(ctx); err != nil {
				return err
			}
		}
		return f.checkSnapshot(ctx)
	case generation > 1:
		return fmt.Errorf("iris.restoreFrom: got nothing, want a backup or a snapshot: generation %d is new, and its volume would be empty "+
			`(docs/operations.md, "Restore")`, generation)
	}
	return nil
}

// missing refuses to make the claim of an older generation, which would be empty. Its number is given up by iris.oldestGeneration only if the
// database does not run on one before it.
func (f *source) missing(ctx context.Context, generation int) error {
	if runsOn := mountedGeneration(ctx, f.api, f.cfg.Namespace); runsOn > 0 && runsOn < generation {
		return neverMade(f.cfg.Generation, generation, runsOn)
	}
	return fmt.Errorf("iris.oldestGeneration: got %d, want at least %d: this stack does not have the volume of generation %d, and a new one "+
		"would be empty", f.cfg.OldestGeneration, generation+1, generation)
}

// waitingVolume is a PersistentVolume, as far as it is read.
type waitingVolume struct {
	Metadata struct {
		Name    string `json:"name"`
		Deleted string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Capacity struct {
			Storage string `json:"storage"`
		} `json:"capacity"`
		AccessModes []string `json:"accessModes"`
		VolumeMode  string   `json:"volumeMode"`
		ClaimRef    struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
			UID       string `json:"uid"`
		} `json:"claimRef"`
	} `json:"spec"`
}

// reserved reports whether a volume waits for the claim, which then has that one's data: somebody has deleted the claim, and freed its
// volume for the next of its name (docs/operations.md, "Somebody deleted the PVC or the namespace"). One that waits and does not fit is an
// error: Kubernetes would leave it, and make an empty one.
func (f *source) reserved(ctx context.Context, claim guard.Inputs) (bool, error) {
	var misfits []error
	for _, volume := range f.waiting(ctx, claim.Text("metadata", "name")) {
		misfit := f.misfit(volume, claim)
		if misfit == nil {
			return true, nil
		}
		misfits = append(misfits, misfit)
	}
	return false, errors.Join(misfits...)
}

// waiting are the volumes that wait for a claim; none when that cannot be found out. A claim of a later generation then needs its source.
func (f *source) waiting(ctx context.Context, claim string) []waitingVolume {
	var list struct {
		Items []waitingVolume `json:"items"`
	}
	if f.api == nil {
		return nil
	}
	if _, err := f.api.Get(ctx, "/api/v1/persistentvolumes", &list); err != nil {
		return nil
	}
	return slices.DeleteFunc(list.Items, func(one waitingVolume) bool {
		ref := one.Spec.ClaimRef
		return ref.Namespace != f.cfg.Namespace || ref.Name != claim || ref.UID != ""
	})
}

// misfit returns why a volume that waits for the claim will not be bound to it; nil if it will. These are all conditions: neither class nor
// phase are, for a volume that names its claim (Kubernetes' component-helpers storage/volume/pv_helpers.go, FindMatchingVolume; access modes
// are the index of the controller's list).
func (f *source) misfit(volume waitingVolume, claim guard.Inputs) error {
	name, spec := claim.Text("metadata", "name"), volume.Spec
	refuse := func(key, got, want string) error {
		return fmt.Errorf("%s: got %s, want %s: the PersistentVolume %s waits for the PVC %s and will not be bound to it, and the database would "+
			`begin on an empty volume (docs/operations.md, "Somebody deleted the PVC or the namespace")`, key, got, want, volume.Metadata.Name, name)
	}
	asked, given := requestOf(claim), spec.Capacity.Storage
	wanted, err := rules.ParseSize(asked)
	has, known := rules.ParseQuantity(given)
	generation, _ := claims.Generation(name)
	switch {
	case volume.Metadata.Deleted != "":
		return refuse("the PersistentVolume "+volume.Metadata.Name, "one that is being deleted", "one that stays, or none")
	case err == nil && known && float64(wanted) > has && generation < f.cfg.Generation:
		return refuse("iris.oldestGeneration", fmt.Sprint(f.cfg.OldestGeneration), fmt.Sprintf("%d, which leaves that volume as it is, because "+
			"it has %s and iris.size is %s", generation+1, given, asked))
	case err == nil && known && float64(wanted) > has:
		return refuse("iris.size", asked, given+", the volume's size; it can grow afterwards")
	case spec.VolumeMode != "" && spec.VolumeMode != "Filesystem":
		return refuse("the PersistentVolume "+volume.Metadata.Name, "volumeMode "+spec.VolumeMode, "volumeMode Filesystem")
	}
	if mode := claim.Text("spec", "accessModes", 0); mode != "" && !slices.Contains(spec.AccessModes, mode) { // It has one.
		return refuse("iris.accessMode", mode, strings.Join(spec.AccessModes, " or ")+", as the volume has it")
	}
	return nil
}

// snapshot is a VolumeSnapshot, as far as it is read.
type snapshot struct {
	Status struct {
		ReadyToUse  bool   `json:"readyToUse"`
		RestoreSize string `json:"restoreSize"`
		Error       struct {
			Message string `json:"message"`
		} `json:"error"`
	} `json:"status"`
}

// checkSnapshot refuses a snapshot that cannot fill a volume of this size, if there is to be one.
func (f *source) checkSnapshot(ctx context.Context) error {
	const key = "iris.restoreFrom.snapshot"
	name := f.cfg.RestoreFrom.Snapshot
	if name == "" || f.api == nil {
		return nil
	}
	var seen snapshot
	found, err := f.api.Get(ctx, "/apis/snapshot.storage.k8s.io/v1/namespaces/"+f.cfg.Namespace+"/volumesnapshots/"+name, &seen)
	switch {
	case errors.Is(err, live.ErrUnknown):
		return nil
	case err != nil && (f.preview || live.IsForbidden(err)):
		f.warn(fmt.Sprintf("The snapshot to restore, %s, could not be looked at: %v", name, err))
		return nil
	case err != nil:
		return fmt.Errorf("look at VolumeSnapshot %s/%s: %w", f.cfg.Namespace, name, err)
	case !found:
		return fmt.Errorf("%s: got %q, want a VolumeSnapshot in the namespace %s: there is none of that name. Snapshots of other clusters "+
			"and namespaces are out of reach; a backup is not", key, name, f.cfg.Namespace)
	case !seen.Status.ReadyToUse:
		return fmt.Errorf("%s: got %q, want one that is ready to use (kubectl -n %s get volumesnapshots): %s", key, name, f.cfg.Namespace,
			cmp.Or(seen.Status.Error.Message, "it may still be on its way"))
	}
	return checkRestoredSize(f.cfg.Size, seen.Status.RestoreSize)
}

// checkRestoredSize refuses a claim that is not as large as its source: drivers take no smaller one, and some no larger one.
func checkRestoredSize(asked, recorded string) error {
	size, known := rules.ParseQuantity(recorded)
	want, _ := rules.ParseSize(asked) // Validated.
	if !known || size == 0 || int64(size) == want {
		return nil // A driver need not say how large a snapshot is.
	}
	return fmt.Errorf("iris.size: got %q, want %s, the size of the snapshot's volume: a restored one has exactly that. It can grow afterwards",
		asked, rules.FormatSize(int64(size)))
}
