package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

// keeper looks at the cluster before Helm and the engine write to it. Its checks are hooks of the resources that they are
// about, and hooks run when a resource changes: a run without changes asks the cluster nothing.
type keeper struct {
	live *live.Cluster
	// owner marks what Helm remembers as this stack's.
	owner string
	// class is the StorageClass's name.
	class string
	// kubeletRoot is what the chart is told; empty if Longhorn has to find it out.
	kubeletRoot string
	// preview: nothing may be changed.
	preview bool
	log     log

	// budget is how long the driver may take to appear; tests have less time.
	budget time.Duration
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
}

// log is where a keeper says what it sees and does.
type log struct{ info, warn func(string) }

func (s *Storage) keeper(ctx *pulumi.Context, args *Args) *keeper {
	// The hooks' own resources are not registered yet while these run; the component is.
	about := &pulumi.LogArgs{Resource: s}
	return &keeper{
		live: args.Live, owner: args.Stack, class: args.Config.ClassName,
		kubeletRoot: args.Traits.KubeletRootDir, preview: ctx.DryRun(), budget: driverBudget, now: time.Now, sleep: pause,
		log: log{
			// A message that cannot be shown is no reason to stop.
			info: func(text string) { _ = ctx.Log.Info(text, about) },
			warn: func(text string) { _ = ctx.Log.Warn(text, about) },
		},
	}
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}

// asks reports whether there is an API server that can be asked: not in a preview of a cluster that does not exist.
func (k *keeper) asks() bool { return k.live != nil && k.live.Known() }

// unknown lets a preview go on, and a run that may not look: Helm and the provider have credentials and messages of their own.
func (k *keeper) unknown(what string, err error) error {
	var status *live.StatusError
	forbidden := errors.As(err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden)
	if k.preview || forbidden {
		k.log.warn(fmt.Sprintf("%s could not be looked at: %v", what, err))
		return nil
	}
	return err
}

// guardRelease returns the release's option that looks before Helm writes.
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
		return k.recoverRelease(ctx, false, marks)
	}
	if err := k.checkRemoval(ctx); err != nil {
		return err
	}
	k.warnOfReplicas(ctx, before, after)
	k.warnOfUninstall(ctx, before, after)
	return k.recoverRelease(ctx, true, marks)
}

// guardClass returns the class's option that lets no class appear, and no volume after it, without a driver. The class
// changes with each revision of the release: an after-hook of the release itself could only warn.
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
		// A destroy deletes the class before it comes to the release.
		if err := k.checkRemoval(ctx); err != nil {
			return err
		}
	}
	if k.preview {
		return nil
	}
	return k.awaitDriver(ctx)
}
