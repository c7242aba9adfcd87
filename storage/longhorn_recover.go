package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ha-iris/internal/guard"
)

const (
	// settleTime is how old a pending record must be before it counts as left behind. The stack's lock prevents a second run
	// of this stack, but the provider plugin of a killed run, with Helm in it, may still be running. Helm creates the
	// chart's objects within seconds and only waits after that; a second Helm can run beside one that waits.
	settleTime = time.Minute
	// settleTick is how often the record is read until then.
	settleTick = 5 * time.Second
)

// verdict is what to do with Helm's records before Helm writes.
type verdict struct {
	// forget are records to delete.
	forget []record
	// reason is the reason, for the message.
	reason string
}

// recoverRelease deletes the pending records of a Helm run that was killed, because Helm refuses to start while
// they exist. marks are the names under which this stack has written records.
func (k *keeper) recoverRelease(ctx context.Context, installed bool, marks []string, after guard.Inputs) error {
	records, err := k.records(ctx)
	if err != nil {
		return k.unknown("Helm's records", err)
	}
	if records, err = k.settle(ctx, records, marks); err != nil {
		return err
	}
	decide := func() (verdict, error) { return beforeInstall(records, marks) }
	if installed {
		if err := refuseJump(records, after); err != nil {
			return err
		}
		decide = func() (verdict, error) { return beforeUpgrade(records, marks) }
	}
	decision, err := decide()
	if err != nil || len(decision.forget) == 0 {
		return err
	}
	if k.preview {
		k.log.info("Helm's record of " + decision.reason + ". The update will delete the record and go on from there.")
		return nil
	}
	if err := k.forget(ctx, decision.forget); err != nil {
		return err
	}
	k.log.info("Recovered: deleted Helm's record of " + decision.reason + ". Helm takes over what it had made.")
	return nil
}

// settle waits until a pending record of ours is old enough, and returns the records as they are then.
func (k *keeper) settle(ctx context.Context, records []record, marks []string) ([]record, error) {
	// The clocks of this machine and of Helm's may differ, so the wait is bounded by settleTime in any case.
	for waited := time.Duration(0); !k.preview && len(records) > 0; waited += settleTick {
		last := records[len(records)-1]
		young := k.now().Sub(last.touched) < settleTime
		if !last.pending() || !slices.Contains(marks, last.owner) || !young || waited >= settleTime {
			break
		}
		if waited == 0 {
			k.log.info(fmt.Sprintf("Helm's record of %s, %s, is younger than a minute: waiting whether a Helm is still at work.",
				releaseName, last.label()))
		}
		if err := k.sleep(ctx, settleTick); err != nil {
			return nil, err
		}
		newer, err := k.records(ctx)
		if err != nil {
			return nil, err
		}
		records = newer
	}
	return records, nil
}

// beforeInstall: the stack's state knows no release, so Helm is about to install, and refuses if there is any record.
func beforeInstall(records []record, marks []string) (verdict, error) {
	if len(records) == 0 {
		return verdict{}, nil
	}
	last := records[len(records)-1]
	if err := foreign(records, marks); err != nil {
		return verdict{}, err
	}
	if slices.ContainsFunc(records, record.complete) {
		// It is deployed, perhaps with data. The program cannot tell a lost state from another state under the same name. The
		// version matters: an install over a newer one skips the checks of Longhorn's upgrade hook.
		return verdict{}, fmt.Errorf("longhorn %s of the stack %s is installed in this cluster, %s, but this stack's state does not "+
			"know it. If there is no other state of that name, delete Helm's record, and pulumi up with storage.version %s takes "+
			"it over: %s", last.chart, last.owner, last.label(), last.chart, forgetCommand)
	}
	return verdict{forget: records, reason: fmt.Sprintf("%s, %s, whose install was interrupted", releaseName, last.label())}, nil
}

// foreign returns an error if a record is not this stack's.
func foreign(records []record, marks []string) error {
	for _, r := range records {
		switch {
		case slices.Contains(marks, r.owner):
		case r.owner != "":
			return fmt.Errorf("longhorn is installed in this cluster by the stack %s, %s, and a cluster has one Longhorn: set "+
				"storage.install to false and storage.className to a class of it. If that stack is gone for good, its record "+
				"can be deleted, and pulumi up then takes its Longhorn over: %s", r.owner, r.label(), forgetCommand)
		default:
			return fmt.Errorf("longhorn is installed in this cluster already, %s, and its values name no stack of this program: to "+
				"use it, set storage.install to false and storage.className to a class of it. If it is a leftover of this stack, "+
				"delete its record, and pulumi up then takes it over: %s", r.label(), forgetCommand)
		}
	}
	return nil
}

// beforeUpgrade: the stack's state has the release, so Helm is about to upgrade, and refuses if the newest record is
// pending. Helm continues from every other status.
func beforeUpgrade(records []record, marks []string) (verdict, error) {
	if len(records) == 0 {
		return verdict{}, nil // They were deleted; Helm reports that.
	}
	last := records[len(records)-1]
	if !last.pending() {
		return verdict{}, nil
	}
	one := fmt.Sprintf("kubectl -n %s delete secret %s", namespaceName, last.name)
	switch {
	case !slices.Contains(marks, last.owner):
		return verdict{}, fmt.Errorf("longhorn: %s is %s: if Helm is not at work any more, delete the record of its attempt, then "+
			"pulumi up: %s", whose(last), last.label(), one)
	case len(records) == 1:
		// Helm needs a revision to upgrade from. With none left, the release must be removed from the state and installed.
		return verdict{}, fmt.Errorf("longhorn: the install of %s was interrupted, but the stack's state knows the release: delete "+
			"the record, then pulumi up --refresh, which installs over what is there: %s", last.label(), one)
	}
	return verdict{
		forget: []record{last},
		reason: fmt.Sprintf("%s, %s, which was interrupted", releaseName, last.label()),
	}, nil
}

func whose(r record) string {
	if r.owner == "" {
		return "a release whose values name no stack"
	}
	return "a release of the stack " + r.owner
}
