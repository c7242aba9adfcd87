package iris

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

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
	generation, _ := generationOf(name)
	switch {
	case generation == 1 && f.cfg.Generation == 1 && from.String() == "", f.reserved(ctx, name):
		return nil
	case generation < f.cfg.Generation:
		return fmt.Errorf("iris.oldestGeneration: got %d, want at least %d: this stack does not have the volume of generation %d, and a new one "+
			"would be empty", f.cfg.OldestGeneration, generation+1, generation)
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

// reserved reports whether a volume waits for the claim, which then has that one's data: somebody has deleted the claim, and freed its
// volume for the next of its name (docs/operations.md, "Somebody deleted the PVC or the namespace").
func (f *source) reserved(ctx context.Context, claim string) bool {
	var list struct {
		Items []struct {
			Spec struct {
				ClaimRef struct {
					Namespace string `json:"namespace"`
					Name      string `json:"name"`
					UID       string `json:"uid"`
				} `json:"claimRef"`
			} `json:"spec"`
		} `json:"items"`
	}
	if f.api == nil {
		return false
	}
	if _, err := f.api.Get(ctx, "/api/v1/persistentvolumes", &list); err != nil {
		return false
	}
	for _, volume := range list.Items {
		ref := volume.Spec.ClaimRef
		if ref.Namespace == f.cfg.Namespace && ref.Name == claim && ref.UID == "" {
			return true
		}
	}
	return false
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
	case err != nil && (f.preview || isForbidden(err)):
		f.warn(fmt.Sprintf("The snapshot to restore, %s, could not be looked at: %v", name, err))
		return nil
	case err != nil:
		return fmt.Errorf("look at VolumeSnapshot %s/%s: %w", f.cfg.Namespace, name, err)
	case !found:
		return fmt.Errorf("%s: got %q, want a VolumeSnapshot in the namespace %s: there is none of that name. Snapshots of other clusters "+
			"and namespaces are out of reach; a backup is not", key, name, f.cfg.Namespace)
	case !seen.Status.ReadyToUse:
		return fmt.Errorf("%s: got %q, want one that is ready to use (kubectl -n %s get volumesnapshots): %s", key, name, f.cfg.Namespace,
			orElse(seen.Status.Error.Message, "it may still be on its way"))
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

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func isForbidden(err error) bool {
	var answer *live.StatusError
	return errors.As(err, &answer) && (answer.Code == http.StatusForbidden || answer.Code == http.StatusUnauthorized)
}
