package iris

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/pods"
)

const (
	fillTick   = 2 * time.Second
	fillReport = 10 * time.Second
	// fillBudget and fillPerGiB are how long the data may take. A volume is filled over the network by all replicas at once; the second
	// is for 17 MiB/s, which is less than a slow store gives.
	fillBudget = 30 * time.Minute
	fillPerGiB = time.Minute
	// claimPatience is for a claim that the same update makes, without anything before it but its class.
	claimPatience = time.Minute
)

// filling waits until the volume of a new generation has its data, before anything is moved to it: the database runs on its old volume
// meanwhile.
type filling struct {
	api              pods.Cluster
	restorer         Restorer
	namespace, claim string
	// older are the claims that nothing uses once the database has been moved.
	older []string
	// restores says that the configuration has a source: a new Deployment has nothing to compare with.
	restores, preview bool
	budget            time.Duration
	log, warn         func(text string)

	now   func() time.Time
	pause func(context.Context, time.Duration) error

	// All that moves waits for the same: once is what has been found.
	once  sync.Once
	found error
}

// guardFilled returns the option, of everything that uses the newest claim, that waits for its data, and what else may wait for them.
func (s *scope) guardFilled(args *Args) (*filling, pulumi.ResourceOption, error) {
	about := &pulumi.LogArgs{Resource: s.parent}
	bytes, _ := s.cfg.VolumeBytes() // Validated.
	f := &filling{
		api: args.API, restorer: args.Restorer, namespace: s.cfg.Namespace, claim: s.cfg.claimName(),
		older:    slices.DeleteFunc(s.cfg.claimNames(), func(one string) bool { return one == s.cfg.claimName() }),
		restores: s.cfg.RestoreFrom.String() != "", preview: s.ctx.DryRun(),
		budget: fillBudget + time.Duration((bytes+gib-1)/gib)*fillPerGiB,
		log:    func(text string) { _ = s.ctx.Log.Info(text, about) }, // A failure to log does not stop the run.
		warn:   func(text string) { _ = s.ctx.Log.Warn(text, about) },
		now:    time.Now, pause: clock.Pause,
	}
	option, err := guard.BeforeWrite(s.ctx, s.name+"-guard-filled", func(before, _ guard.Inputs) error {
		return f.beforeWrite(s.ctx.Context(), before)
	})
	return f, option, err
}

func (f *filling) beforeWrite(ctx context.Context, before guard.Inputs) error {
	switch {
	case f.preview || f.api == nil:
		return nil
	case before.None() && !f.restores, before.Any(f.names):
		return nil // There is nothing to wait for, or it has been waited for.
	}
	return f.wait(ctx)
}

// wait waits once, for all.
func (f *filling) wait(ctx context.Context) error {
	f.once.Do(func() {
		if f.found = f.await(ctx); f.found == nil {
			f.retire(ctx)
		}
	})
	return f.found
}

// waitBeside is for what need not come after the claim, which may come after it then: with pulumi up --parallel 1 nothing makes it meanwhile.
func (f *filling) waitBeside(ctx context.Context) error {
	watch := clock.Watch{Budget: claimPatience, Tick: fillTick, Report: fillReport, Now: f.now, Pause: f.pause, Say: func(string, time.Duration) {}}
	found, _, err := watch.Until(ctx, func() clock.Found {
		var claim boundClaim
		there, err := f.api.Get(ctx, claimPath(f.namespace, f.claim), &claim)
		return clock.Found{Done: there && err == nil}
	})
	if err != nil || !found.Done {
		return err //nolint:wrapcheck // The context's own.
	}
	return f.wait(ctx)
}

// retire has the storage look after the old volumes, which stay. A failure is no reason to keep the database on one of them.
func (f *filling) retire(ctx context.Context) {
	if f.restorer == nil {
		return
	}
	for _, name := range f.older {
		var claim boundClaim
		there, err := f.api.Get(ctx, claimPath(f.namespace, name), &claim)
		if err == nil && (!there || claim.Spec.VolumeName == "") {
			continue
		}
		var volume csiVolume
		if err == nil {
			volume, err = f.volume(ctx, claim.Spec.VolumeName)
		}
		if err == nil {
			err = f.restorer.Retire(ctx, volume.Driver, volume.Handle)
		}
		if err != nil {
			f.warn(fmt.Sprintf("the volume of claim %s, which stays, may lose its replicas with the nodes that they are on: %v", name, err))
		}
	}
}

// names reports whether a text of an object is the claim's name or has it in quotes, as expressions of Prometheus do, in JSON too.
func (f *filling) names(text string) bool {
	return text == f.claim || strings.Contains(text, `"`+f.claim+`"`) || strings.Contains(text, `\"`+f.claim+`\"`)
}

func (f *filling) await(ctx context.Context) error {
	watch := clock.Watch{
		Budget: f.budget, Tick: fillTick, Report: fillReport, Now: f.now, Pause: f.pause,
		Say: func(state string, waited time.Duration) {
			f.log(fmt.Sprintf("waiting for the data of claim %s since %s: %s", f.claim, waited.Round(time.Second), state))
		},
	}
	found, waited, err := watch.Until(ctx, func() clock.Found { return f.look(ctx) })
	if err != nil {
		return fmt.Errorf("wait for the data of claim %s: %w", f.claim, err)
	}
	if found.Done {
		return nil
	}
	facts := append([]string{found.State}, f.events(ctx)...)
	return fmt.Errorf("the claim %s/%s does not have its data after %s:%s%s\nThe database was not moved to it: one that ran before runs on, on its "+
		"old volume. Run pulumi up again to wait on. To take another backup: the next iris.generation with it, or iris.generation as it was "+
		`before if there is no such claim (docs/operations.md, "Restore")`, f.namespace, f.claim, waited.Round(time.Second), lineBreak,
		strings.Join(facts, lineBreak))
}

// boundClaim is a claim, as far as it is read.
type boundClaim struct {
	Spec struct {
		VolumeName       string `json:"volumeName"`
		StorageClassName string `json:"storageClassName"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// look says how far the volume is. An error of the API server is no end: it may be away for a while.
func (f *filling) look(ctx context.Context) clock.Found {
	var claim boundClaim
	there, err := f.api.Get(ctx, claimPath(f.namespace, f.claim), &claim)
	switch {
	case err != nil:
		return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}
	case !there:
		return clock.Found{State: "the claim is not there"}
	case claim.Status.Phase != "Bound":
		return f.unbound(ctx, claim)
	case f.restorer == nil:
		return clock.Found{Done: true}
	}
	found, err := f.filled(ctx, claim.Spec.VolumeName)
	if err != nil {
		return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}
	}
	return found
}

func (f *filling) filled(ctx context.Context, name string) (clock.Found, error) {
	volume, err := f.volume(ctx, name)
	if err != nil {
		return clock.Found{}, err
	}
	return f.restorer.Filled(ctx, volume.Driver, volume.Handle)
}

// csiVolume is what a PersistentVolume says of a driver's volume.
type csiVolume struct {
	Driver string `json:"driver"`
	Handle string `json:"volumeHandle"`
}

func (f *filling) volume(ctx context.Context, name string) (csiVolume, error) {
	var volume struct {
		Spec struct {
			CSI csiVolume `json:"csi"`
		} `json:"spec"`
	}
	if _, err := f.api.Get(ctx, "/api/v1/persistentvolumes/"+name, &volume); err != nil {
		return csiVolume{}, fmt.Errorf("look at PersistentVolume %s: %w", name, err)
	}
	if volume.Spec.CSI.Handle == "" {
		return csiVolume{}, errors.New("the PersistentVolume " + name + " names no volume of a driver")
	}
	return volume.Spec.CSI, nil
}

// unbound is a claim without a volume. One whose class waits for the pod has none before the database is moved to it.
func (f *filling) unbound(ctx context.Context, claim boundClaim) clock.Found {
	var class struct {
		VolumeBindingMode string `json:"volumeBindingMode"`
	}
	if _, err := f.api.Get(ctx, "/apis/storage.k8s.io/v1/storageclasses/"+claim.Spec.StorageClassName, &class); err != nil {
		return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}
	}
	if class.VolumeBindingMode == "WaitForFirstConsumer" {
		f.log("the StorageClass " + claim.Spec.StorageClassName + " makes a volume only with its pod (WaitForFirstConsumer), so the database is " +
			"away while its data are copied")
		return clock.Found{Done: true}
	}
	return clock.Found{State: "the claim is " + cmp.Or(claim.Status.Phase, "new")}
}

// events are warnings about the claim.
func (f *filling) events(ctx context.Context) []string {
	return pods.Namespace{API: f.api, Name: f.namespace}.Events(ctx, map[string]bool{f.claim: true})
}
