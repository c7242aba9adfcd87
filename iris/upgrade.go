package iris

import (
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
	"ha-iris/internal/rules"
)

// Another image may upgrade the data at its start, without a way back, and does not start on data that were not stopped in order (ADOCK
// 5.7). So before the Deployment gets another one, the database must be seen running, whose stop is then in order, and what it has is backed
// up. That is done by hooks and not by a resource of its own: it happens when the image changes and never else, the preview shows the
// Deployment alone, and an update that is repeated looks again.
//
// What the database's pod mounts is written in place, and a replacement pod reads it at its start. A backup may take hours or fail, and until
// the image changes such a pod has the old one. So the ConfigMaps and Secrets have a hook too, and whichever comes first looks for all.

const (
	upgradeTick   = 2 * time.Second
	upgradeReport = time.Minute
	// upgradeMargin is what a backup's job may take beside its own deadline: to be scheduled, and to be read.
	upgradeMargin = 10 * time.Minute
	// upgradePatience is for what the same update makes, beside what waits for the backup: the CronJob, and the target.
	upgradePatience = 2 * time.Minute
)

// upgrade stands between the data and another image.
type upgrade struct {
	api                           Cluster
	namespace, selector, longhorn string
	// image and claim are those of the configuration.
	image, claim string
	// without is why no backup can be made; empty: it can.
	without string
	// filled waits for the data of the claim that the database moves to.
	filled    func(context.Context) error
	preview   bool
	log, warn func(text string)

	budget time.Duration
	now    func() time.Time
	pause  func(context.Context, time.Duration) error

	// All that is changed waits for the same: once is what has been found.
	once  sync.Once
	found error
}

// guardUpgrade returns the Deployment's option that has the data backed up before its image changes, and sets that of what its pod mounts.
func (s *scope) guardUpgrade(api Cluster, moved *filling) (deployment pulumi.ResourceOption, err error) {
	about := &pulumi.LogArgs{Resource: s.parent}
	u := &upgrade{
		api: api, namespace: s.cfg.Namespace, selector: "app=" + s.cfg.database().app, longhorn: s.cfg.LonghornNamespace,
		image: s.cfg.Image, claim: s.cfg.claimName(),
		without: s.cfg.whyNoBackup(), filled: moved.waitBeside, preview: s.ctx.DryRun(),
		log:    func(text string) { _ = s.ctx.Log.Info(text, about) }, // A failure to log does not stop the run.
		warn:   func(text string) { _ = s.ctx.Log.Warn(text, about) },
		budget: backupDeadline*time.Second + upgradeMargin, now: time.Now, pause: clock.Pause,
	}
	deployment, err = guard.BeforeUpdate(s.ctx, s.name+"-guard-upgrade", func(before, after guard.Inputs) error {
		return u.beforeUpdate(s.ctx.Context(), before, after)
	})
	if err != nil {
		return nil, err
	}
	s.mounted, err = guard.BeforeUpdate(s.ctx, s.name+"-guard-mounted", func(guard.Inputs, guard.Inputs) error {
		return u.beforeMounted(s.ctx.Context())
	})
	return deployment, err
}

// beforeUpdate is for the Deployment itself.
func (u *upgrade) beforeUpdate(ctx context.Context, before, after guard.Inputs) error {
	was, will := imageOf(before), imageOf(after)
	if u.api == nil || was == "" || will == "" || sameContent(was, will) {
		return nil
	}
	if from, to := mountedClaim(before), mountedClaim(after); from != to {
		u.warn(fmt.Sprintf("iris.image changes together with the volume: no backup is made, because the data of %s stay as they are. What is restored was "+
			"not stopped in order, so that no newer release than the one that wrote it starts on it: restore with that one, and upgrade afterwards", from))
		return nil
	}
	return u.look(ctx, will)
}

// beforeMounted is for what the database's pod mounts, whose own inputs do not say whether the image changes. In a preview the Deployment says
// all there is.
func (u *upgrade) beforeMounted(ctx context.Context) error {
	if u.api == nil || u.preview {
		return nil
	}
	deployment, found, err := observed(ctx, u.api, u.namespace)
	if claim := deployment.Spec.Template.Spec.claim(); err == nil && found && claim != "" && claim != u.claim {
		return u.filled(ctx) // Until it moves there, a pod that is replaced is one of the old volume, with its settings.
	}
	return u.look(ctx, u.image)
}

// look looks once, for all.
func (u *upgrade) look(ctx context.Context, will string) error {
	first := false
	u.once.Do(func() { first, u.found = true, u.decide(ctx, will) })
	if u.found != nil && !first {
		return errors.New("it stays as it is, because iris.image does: the reason is with another object")
	}
	return u.found
}

func (u *upgrade) decide(ctx context.Context, will string) error {
	deployment, found, err := observed(ctx, u.api, u.namespace)
	switch {
	case errors.Is(err, live.ErrUnknown), err == nil && !found, err == nil && sameContent(deployment.Spec.Template.Spec.database(), will):
		return nil
	case err != nil:
		return u.unseen(err)
	}
	return u.check(ctx, deployment, will)
}

// check decides by the state of the database. To scale it to 0 is the way past a backup that cannot be made: somebody has to do it and see it
// stop, and no key of the configuration stays behind that says so for ever.
func (u *upgrade) check(ctx context.Context, deployment observedDeployment, will string) error {
	if deployment.Spec.Replicas == 0 {
		u.warn("iris.image changes and no backup is made first, because the database is scaled to 0: IRIS cannot be frozen. If it was not stopped in " +
			"order the new image refuses to start: " + vendorsWay(deployment.Spec.Template.Spec.database(), will))
		return nil
	}
	all, err := pods.Namespace{API: u.api, Name: u.namespace}.List(ctx, u.selector)
	switch {
	case err != nil:
		return u.unseen(err)
	case slices.ContainsFunc(all, func(one pods.Pod) bool { return one.Ready() && one.Metadata.Deletion == "" }):
		u.remarkOnStop(deployment.Spec.Template.Spec.Grace)
		return u.save(ctx, will)
	}
	neverReady, err := u.neverReady(ctx, deployment)
	switch {
	case err != nil:
		return u.unseen(err)
	case neverReady:
		u.warn("iris.image changes and no backup is made first: the database has not become ready since its image was changed, so that there is " +
			"nothing to freeze. The backups from before are the way back")
		return nil
	}
	err = u.notRunning(deployment.Spec.Template.Spec.database(), will)
	if u.preview { // It may be ready by the time of the update.
		u.warn(err.Error())
		return nil
	}
	return err
}

// unseen is the end of an update that could not find out how the database is; a preview only says so.
func (u *upgrade) unseen(err error) error {
	if u.preview {
		u.warn(fmt.Sprintf("iris.image changes, and the database could not be looked at: %v", err))
		return nil
	}
	return fmt.Errorf("look at the database before anything of it is changed: %w", err)
}

// neverReady says whether the database has never run with the present image. A change of other settings restarts it too, and then what is not
// ready may be recovering, which it must come to the end of.
func (u *upgrade) neverReady(ctx context.Context, deployment observedDeployment) (bool, error) {
	if deployment.wasComplete() || deployment.Status.ObservedGeneration < deployment.Metadata.Generation {
		return false, nil
	}
	all, err := templates(ctx, u.api, u.namespace, u.selector)
	return err == nil && all.onlyForItsImage(), err
}

// remarkOnStop warns when the stop may be cut short, which is then none in order. The pod stops with the grace period that it was given.
func (u *upgrade) remarkOnStop(grace int) {
	if grace == 0 || grace >= orderlyStop {
		return
	}
	u.warn(fmt.Sprintf("iris.image changes, and the stop before may be cut short: the database has %d s for it (iris.terminationGracePeriodSeconds), and takes up "+
		"to %d s when processes do not end by themselves. The new image then refuses to start. To be sure, raise it to %d in a pulumi up of its own first, and "+
		"lower it afterwards", grace, orderlyStop, guardedGrace))
}

func (u *upgrade) notRunning(was, will string) error {
	return fmt.Errorf("iris.image: got %s, want %s until the database is ready: it has no pod that is, so that it may not have been stopped in order, and then a "+
		"newer image refuses to start. Look at kubectl -n %s get pods, wait until it is ready, and run pulumi up again. The vendor's way, after a stop that was none: "+
		"%s. If it comes up with the new image only: %s", will, was, u.namespace, vendorsWay(was, will), u.wayPast())
}

// vendorsWay is the procedure after an unclean stop (ADOCK 5.7).
func vendorsWay(was, will string) string {
	return fmt.Sprintf("iris.image %s again, pulumi up, wait until it is ready, which recovers the data; then iris.image %s, whose pulumi up stops it in order "+
		`(docs/operations.md, "IRIS")`, was, will)
}

// wayPast is how to change the image without a backup.
func (u *upgrade) wayPast() string {
	return fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=0, wait until its pod is gone, and run pulumi up again, which makes no backup then and starts it",
		u.namespace, deploymentName)
}

// save makes the backup, or says why there is none.
func (u *upgrade) save(ctx context.Context, will string) error {
	switch {
	case u.without != "":
		u.warn(fmt.Sprintf("iris.image changes and no IRIS-consistent backup is made first: %s. A newer release upgrades the data, without a way back to the old "+
			`one: make a backup yourself before (docs/operations.md, "Backups")`, u.without))
		return nil
	case u.preview:
		u.log("iris.image changes: pulumi up first makes an IRIS-consistent backup, and changes the image once that is complete. The database runs on meanwhile")
		if trouble := u.targetTrouble(ctx); trouble != "" { // It may be mended by the time of the update.
			u.warn("The backup would fail, and the image stay. " + trouble)
		}
		return nil
	}
	name, err := u.backUp(ctx, will)
	if err != nil {
		return fmt.Errorf("iris.image: the backup before the change was not made, and the database runs on with its image and its settings:\n  %w\nMend that, and run pulumi up "+
			`again. To go on without a backup: %s (docs/operations.md, "IRIS")`, err, u.wayPast())
	}
	u.log(fmt.Sprintf("backup %s is complete: it is the way back, with the image from before (docs/operations.md, \"IRIS\")", name))
	return nil
}

// targetTrouble is what to do about a backup target that Longhorn cannot use; empty when it can, or when that cannot be found out. Longhorn's reason
// may quote the target's login, which is known to the storage only, and is not repeated here.
func (u *upgrade) targetTrouble(ctx context.Context) string {
	var target struct {
		Status struct {
			Available bool `json:"available"`
		} `json:"status"`
	}
	found, err := u.api.Get(ctx, u.longhornPath()+"backuptargets/default", &target)
	switch {
	case err != nil || found && target.Status.Available:
		return ""
	case !found:
		return "Longhorn has no backup target"
	}
	return fmt.Sprintf("Longhorn cannot use the backup target; why: kubectl -n %s describe backuptargets.longhorn.io default", u.longhorn)
}

func (u *upgrade) longhornPath() string {
	return "/apis/longhorn.io/v1beta2/namespaces/" + u.longhorn + "/"
}

// imageOf is the image of the database in a Deployment's inputs; empty when it is not known.
func imageOf(deployment guard.Inputs) string {
	for i := 0; ; i++ {
		switch name := deployment.Text("spec", "template", "spec", "containers", i, "name"); name {
		case "":
			return ""
		case irisContainerName:
			return deployment.Text("spec", "template", "spec", "containers", i, "image")
		}
	}
}

// mountedClaim is the claim in a Deployment's inputs; the first volume is the data's.
func mountedClaim(deployment guard.Inputs) string {
	return deployment.Text("spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName")
}

// sameContent says that two references are of the same image, which another registry may have too.
func sameContent(a, b string) bool {
	first, _ := rules.ParseImage(a)
	second, _ := rules.ParseImage(b)
	return a == b || first.Digest != "" && strings.EqualFold(first.Digest, second.Digest)
}
