package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

// keeper checks the cluster before Helm and the engine write to it. Its checks are hooks of the release and the class. Hooks
// run only when a resource changes: a run without changes sends the cluster no request.
type keeper struct {
	live *live.Cluster
	// owner is the stack's full name, with which Helm's records are marked.
	owner string
	// class is the StorageClass's name.
	class string
	// kubeletRoot is the chart's value csi.kubeletRootDir; empty if Longhorn detects it.
	kubeletRoot string
	// backups: the stack sets Longhorn's backup target.
	backups bool
	// preview: nothing may be changed.
	preview bool
	log     log

	// budget is how long the driver may take to appear; shorter in tests.
	budget time.Duration
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
}

// log writes messages of a keeper.
type log struct{ info, warn func(string) }

func (s *Storage) keeper(ctx *pulumi.Context, args *Args) *keeper {
	// The resources of the hooks are not registered yet when the hooks run; the component is.
	about := &pulumi.LogArgs{Resource: s}
	return &keeper{
		live: args.Live, owner: args.Stack, class: args.Config.ClassName,
		kubeletRoot: args.Traits.KubeletRootDir, backups: args.Config.Backup.enabled(), preview: ctx.DryRun(), budget: driverBudget, now: time.Now, sleep: clock.Pause,
		log: log{
			// A failure to log does not stop the run.
			info: func(text string) { _ = ctx.Log.Info(text, about) },
			warn: func(text string) { _ = ctx.Log.Warn(text, about) },
		},
	}
}

// asks reports whether there is an API server that can be asked: not in a preview of a cluster that does not exist.
func (k *keeper) asks() bool { return k.live != nil && k.live.Known() }

// unknown turns the error into a warning in a preview, and when the API server refuses the request: Helm and the provider have
// their own credentials and messages.
func (k *keeper) unknown(what string, err error) error {
	if k.preview || live.IsForbidden(err) {
		k.log.warn(fmt.Sprintf("%s could not be looked at: %v", what, err))
		return nil
	}
	return err
}

// guardRelease returns the release's option that checks the cluster before Helm writes.
func (k *keeper) guardRelease(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(ctx, name+"-guard-release", func(before, after guard.Inputs) error {
		return k.beforeRelease(ctx.Context(), before, after)
	})
}

func (k *keeper) beforeRelease(ctx context.Context, before, after guard.Inputs) error {
	if !k.asks() {
		return nil
	}
	var marks []string
	if k.owner != "" {
		marks = append(marks, k.owner)
	}
	if mark := before.Text("values", ownerKey, "stack"); mark != "" {
		marks = append(marks, mark) // From before the stack was renamed.
	}
	if before.None() {
		return k.recoverRelease(ctx, false, marks, after)
	}
	if err := k.checkRemoval(ctx); err != nil {
		return err
	}
	k.warnOfReplicas(ctx, before, after)
	k.warnOfUninstall(ctx, before, after)
	k.warnOfTarget(before, after)
	if err := k.refuseOtherTarget(ctx, before, after); err != nil {
		return err
	}
	return k.recoverRelease(ctx, true, marks, after)
}

// guardClass returns the class's option that waits for the driver before the class is written, and so before any volume is created.
// The class changes with each revision of the release. An after-hook of the release could only warn.
func (k *keeper) guardClass(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(ctx, name+"-guard-class", func(before, _ guard.Inputs) error {
		return k.beforeClass(ctx.Context(), before)
	})
}

func (k *keeper) beforeClass(ctx context.Context, before guard.Inputs) error {
	if !k.asks() {
		return nil
	}
	if before.None() {
		// A destroy deletes the class before the release, so an interrupted one shows here.
		if err := k.checkRemoval(ctx); err != nil {
			return err
		}
	}
	if k.preview {
		return nil
	}
	return k.awaitDriver(ctx)
}
