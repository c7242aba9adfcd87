package iris

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/rules"
)

// Changes of the volume that would lose it are refused by hooks, which the engine calls with the recorded and the new
// inputs, in previews too. Protect alone would refuse a replacement without a word about what to do instead, and a smaller
// size is no replacement: it would fail in the middle of an update.
//
//   - A new class, access mode, namespace or name replaces the claim, and no hook runs for that. They are therefore
//     recorded as inputs of the component, whose children wait until it has been updated.
//   - The size is compared on the claim itself: after a growth that failed, the claim still has the old size, and going
//     back to it is no shrinking.

// claimIdentity is what cannot change while the data stay.
type claimIdentity struct {
	Namespace, Name, StorageClass, AccessMode string
}

// claimInputs are recorded as the component's own inputs, for guardIdentity to compare with at the next run.
func claimInputs(args *Args) pulumi.Map {
	return pulumi.Map{"claim": pulumi.Map{
		"namespace":    pulumi.String(args.Config.Namespace),
		"name":         pulumi.String(claimName),
		"storageClass": args.StorageClass,
		"accessMode":   pulumi.String(string(args.Config.AccessMode)),
	}}
}

// guardIdentity returns the component's option that refuses another volume.
func guardIdentity(ctx *pulumi.Context, name string, protect bool) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(ctx, name+"-guard-volume", refuseOtherVolume(protect))
}

func refuseOtherVolume(protect bool) guard.Check {
	return func(before, after guard.Inputs) error {
		return checkClaimChange(identityOf(before), identityOf(after), protect)
	}
}

// guardSize returns the claim's option that refuses a smaller volume.
func guardSize(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(ctx, name+"-guard-size", refuseSmaller)
}

func refuseSmaller(before, after guard.Inputs) error {
	return checkShrink(requestOf(before), requestOf(after))
}

// identityOf reads a component's recorded inputs. What is missing or not known yet stays empty.
func identityOf(inputs guard.Inputs) claimIdentity {
	text := func(key string) string { return inputs.Text("claim", key) }
	return claimIdentity{
		Namespace: text("namespace"), Name: text("name"), StorageClass: text("storageClass"), AccessMode: text("accessMode"),
	}
}

// requestOf reads the size from a claim's recorded inputs.
func requestOf(inputs guard.Inputs) string {
	return inputs.Text("spec", "resources", "requests", "storage")
}

// checkClaimChange refuses to exchange a protected volume for another one.
func checkClaimChange(before, after claimIdentity, protect bool) error {
	if !protect {
		return nil // iris.protectData false gives the data up.
	}
	var refusals []error
	for _, field := range []struct{ path, before, after string }{
		{"iris.namespace", before.Namespace, after.Namespace},
		{"the claim's name", before.Name, after.Name},
		{"storage.className", before.StorageClass, after.StorageClass},
		{"iris.accessMode", before.AccessMode, after.AccessMode},
	} {
		if field.before != "" && field.after != "" && field.before != field.after {
			refusals = append(refusals, fmt.Errorf("%s: got %q, want %q, as the volume has it: it cannot change while the data "+
				"stay; %s; to give the data up, set iris.protectData to false first", field.path, field.after, field.before,
				guard.MoveData))
		}
	}
	return errors.Join(refusals...)
}

// checkShrink refuses a smaller volume, protected or not: Kubernetes cannot do it.
func checkShrink(before, after string) error {
	if before == "" || after == "" {
		return nil
	}
	oldBytes, err := rules.ParseSize(before)
	if err != nil {
		return fmt.Errorf("iris.size, as recorded: %w", err)
	}
	newBytes, err := rules.ParseSize(after)
	if err != nil {
		return fmt.Errorf("iris.size: %w", err)
	}
	if newBytes < oldBytes {
		return fmt.Errorf("iris.size: got %q, want at least %q, as the volume has it: volumes grow and never shrink; %s",
			after, before, guard.MoveData)
	}
	return nil
}
