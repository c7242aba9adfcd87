package iris

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
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
	return beforeUpdate(ctx, name+"-guard-volume", refuseOtherVolume(protect))
}

func refuseOtherVolume(protect bool) pulumi.ResourceHookFunction {
	return func(change *pulumi.ResourceHookArgs) error {
		return checkClaimChange(identityOf(change.OldInputs), identityOf(change.NewInputs), protect)
	}
}

// guardSize returns the claim's option that refuses a smaller volume.
func guardSize(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return beforeUpdate(ctx, name+"-guard-size", refuseSmaller)
}

func refuseSmaller(change *pulumi.ResourceHookArgs) error {
	return checkShrink(requestOf(change.OldInputs), requestOf(change.NewInputs))
}

func beforeUpdate(ctx *pulumi.Context, name string, check pulumi.ResourceHookFunction) (pulumi.ResourceOption, error) {
	hook, err := ctx.RegisterResourceHook(name, check, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register hook %s: %w", name, err)
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), nil
}

// identityOf reads a component's recorded inputs. What is missing or not known yet stays empty.
func identityOf(inputs resource.PropertyMap) claimIdentity {
	text := func(key resource.PropertyKey) string { return textAt(inputs, "claim", key) }
	return claimIdentity{
		Namespace: text("namespace"), Name: text("name"), StorageClass: text("storageClass"), AccessMode: text("accessMode"),
	}
}

// requestOf reads the size from a claim's recorded inputs.
func requestOf(inputs resource.PropertyMap) string {
	return textAt(inputs, "spec", "resources", "requests", "storage")
}

// textAt returns the string at a path, or "" when it is missing, unknown or something else.
func textAt(inputs resource.PropertyMap, path ...resource.PropertyKey) string {
	value := resource.NewObjectProperty(inputs)
	for _, key := range path {
		if !value.IsObject() {
			return ""
		}
		value = value.ObjectValue()[key]
	}
	if !value.IsString() {
		return ""
	}
	return value.StringValue()
}

const migrationPath = "to move the data, bring up a second stack with the new settings, restore a backup of this one " +
	"into it, switch the clients, then destroy this one"

// checkClaimChange refuses to exchange a protected volume for another one.
func checkClaimChange(before, after claimIdentity, protect bool) error {
	if !protect {
		return nil // The data have been given up, in writing.
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
				migrationPath))
		}
	}
	return errors.Join(refusals...)
}

// checkShrink refuses a smaller volume, protected or not: Kubernetes cannot do it.
func checkShrink(before, after string) error {
	if before == "" || after == "" {
		return nil
	}
	oldBytes, err := parseSize(before)
	if err != nil {
		return fmt.Errorf("iris.size, as recorded: %w", err)
	}
	newBytes, err := parseSize(after)
	if err != nil {
		return fmt.Errorf("iris.size: %w", err)
	}
	if newBytes < oldBytes {
		return fmt.Errorf("iris.size: got %q, want at least %q, as the volume has it: volumes grow and never shrink; %s",
			after, before, migrationPath)
	}
	return nil
}
