package iris

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/claims"
	"ha-iris/internal/guard"
	"ha-iris/internal/pods"
	"ha-iris/internal/rules"
)

// Changes of the volume that would lose it are refused by hooks, which the engine calls with the recorded and the new
// inputs, in previews too. Protect alone would refuse a replacement without a word about what to do instead, and a smaller
// size is no replacement: it would fail in the middle of an update.
//
//   - A new class, access mode, namespace or name replaces the claim, and no hook runs for that. They are therefore
//     recorded as inputs of the component, whose children wait until it has been updated.
//   - Another name is another volume. The next generation's is admitted, because the one before it stays.
//   - The size is compared on the claim itself: after a growth that failed, the claim still has the old size, and going
//     back to it is no shrinking.

// claimIdentity is what cannot change while the data stay, of the claim that the database runs on.
type claimIdentity struct {
	Namespace, Name, StorageClass, AccessMode string
}

// claimInputs are recorded as the component's own inputs, for guardIdentity to compare with at the next run.
func claimInputs(args *Args) pulumi.Map {
	claim := pulumi.Map{
		"namespace": pulumi.String(args.Config.Namespace),
		"name":      pulumi.String(args.Config.claimName()),
		// That of the first generation; those of the others follow from it.
		"storageClass": args.StorageClass,
		"accessMode":   pulumi.String(string(args.Config.AccessMode)),
	}
	if from := args.Config.RestoreFrom.String(); from != "" {
		claim["restoredFrom"] = pulumi.String(from)
	}
	return pulumi.Map{"claim": claim}
}

// guardIdentity returns the component's option that refuses another volume.
func guardIdentity(ctx *pulumi.Context, name string, args *Args) (pulumi.ResourceOption, error) {
	made := claimsOf(ctx.Context(), args.API, args.Config.Namespace)
	mounted := func() int { return mountedGeneration(ctx.Context(), args.API, args.Config.Namespace) }
	return guard.BeforeUpdate(ctx, name+"-guard-volume", refuseOtherVolume(args.Config.ProtectData, made, mounted))
}

func refuseOtherVolume(protect bool, made claimIsThere, mounted func() int) guard.Check {
	return func(before, after guard.Inputs) error {
		was, will := identityOf(before), identityOf(after)
		return errors.Join(
			checkClaimChange(was, will, protect),
			checkGeneration(was, will, protect, made, mounted),
			checkSource(before, after, made),
		)
	}
}

// mountedGeneration is the generation that the Deployment in the cluster mounts; 0 when there is none or that cannot be found out.
func mountedGeneration(ctx context.Context, api pods.Cluster, namespace string) int {
	if api == nil {
		return 0
	}
	names, _, _ := claims.Mounted(ctx, api, namespace, deploymentName)
	for _, name := range names {
		if generation, valid := claims.Generation(name); valid {
			return generation
		}
	}
	return 0
}

// claimIsThere reports whether the cluster has a claim of a name; what cannot be found out counts as there.
type claimIsThere func(name string) bool

func claimsOf(ctx context.Context, api pods.Cluster, namespace string) claimIsThere {
	return func(name string) bool {
		if api == nil {
			return true
		}
		var any struct{}
		found, err := api.Get(ctx, claimPath(namespace, name), &any)
		return found || err != nil
	}
}

func claimPath(namespace, name string) string {
	return "/api/v1/namespaces/" + namespace + "/persistentvolumeclaims/" + name
}

// checkGeneration refuses every other generation but the next. An update that failed may have recorded one whose claim it never made; then
// there is nothing that could be lost by going back, and going on would leave a gap. A claim that is not there although the Deployment mounts
// it was made, and somebody has deleted it.
func checkGeneration(before, after claimIdentity, protect bool, made claimIsThere, mounted func() int) error {
	was, known := claims.Generation(before.Name)
	will, valid := claims.Generation(after.Name)
	switch {
	case !known || !valid || before.Namespace != after.Namespace:
		return nil
	case will > was && !made(before.Name):
		if runsOn := mounted(); runsOn > 0 && runsOn < was {
			return neverMade(will, was, runsOn)
		}
	}
	switch {
	case will > was+1:
		return fmt.Errorf("iris.generation: got %d, want %d, the one after %d, on which the database runs: each of them is a restored volume",
			will, was+1, was)
	case will < was && protect && made(before.Name):
		return fmt.Errorf("iris.generation: got %d, want at least %d, on whose volume the database runs: what was written there since would be "+
			"left out. To go back to what %s has, restore a snapshot or a backup of that volume as generation %d "+
			`(docs/operations.md, "Restore"); to give the data up, set iris.protectData to false first`, will, was, after.Name, was+1)
	}
	return nil
}

// neverMade refuses to go past a generation that has no volume. To give that one up would give up all before it too, the one that the database
// runs on among them.
func neverMade(generation, missing, runsOn int) error {
	return fmt.Errorf("iris.generation: got %d, want %d: the volume of generation %d was never made, and the database runs on that of generation %d. "+
		"Set it back, with the iris.restoreFrom that is wanted", generation, missing, missing, runsOn)
}

// checkSource refuses another source for a volume that has been filled. Without a source again, nothing changes. A stack of an earlier
// version may not have recorded its claim.
func checkSource(before, after guard.Inputs, made claimIsThere) error {
	name, recorded := after.Text("claim", "name"), before.Text("claim", "name")
	was, will := rules.WithoutOptions(before.Text("claim", "restoredFrom")), rules.WithoutOptions(after.Text("claim", "restoredFrom"))
	if will == "" || will == was || recorded != "" && name != recorded || !made(name) {
		return nil
	}
	generation, _ := claims.Generation(name)
	want := "nothing"
	if was != "" {
		want = was + " or nothing"
	}
	return fmt.Errorf("iris.restoreFrom: got %s, want %s: the volume of generation %d is there and has its data. To restore, "+
		"set iris.generation to %d with it", will, want, generation, generation+1)
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
	name := after.Name
	if isGenerations(before.Name, after.Name) {
		name = before.Name // checkGeneration compares them.
	}
	for _, field := range []struct{ path, before, after string }{
		{"iris.namespace", before.Namespace, after.Namespace},
		{"the claim's name", before.Name, name},
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

// isGenerations reports whether both are names of claims of this program.
func isGenerations(before, after string) bool {
	_, was := claims.Generation(before)
	_, will := claims.Generation(after)
	return was && will
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
