package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/rules"
)

// Some keys are read only when a volume is created. A change of them would not change the volume, but replace or remove its driver
// or class. They are recorded as inputs of the component, whose children wait until it has been updated, and a hook compares
// them at the next run, in previews too. A component registered by an earlier version has no such inputs; what is not recorded is
// not compared.

// recorded returns the inputs of the component.
func recorded(cfg Config, generations Generations) pulumi.Map {
	inputs := pulumi.Map{"install": pulumi.Bool(cfg.Install), "className": pulumi.String(cfg.ClassName)}
	if cfg.Install {
		inputs["driver"] = pulumi.String(cfg.driver().name)
		maps.Copy(inputs, cfg.driver().recorded(cfg))
	}
	if cfg.Install && generations.first() && generations.Backup != "" {
		inputs["restoredFrom"] = pulumi.String(rules.WithoutOptions(generations.Backup)) // So that the hook runs when it changes.
	}
	return inputs
}

// guardFixed returns the component's option that refuses a change of the storage of an existing volume.
func guardFixed(ctx *pulumi.Context, name string, args *Args) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(ctx, name+"-guard-fixed", refuseOtherStorage(ctx.Context(), args))
}

func refuseOtherStorage(ctx context.Context, args *Args) guard.Check {
	return func(before, after guard.Inputs) error {
		if args.Config.Install && after.Text("restoredFrom") != "" {
			if err := args.Config.driver().checkSource(ctx, args); err != nil {
				return err
			}
		}
		if !args.Protect {
			return nil // iris.protectData false says that the data may go.
		}
		refusals := checkFixed(before, after)
		if driver := before.Text("driver"); driver != "" && driver == after.Text("driver") {
			refusals = append(refusals, args.Config.driver().checkChange(ctx, args, before, after))
		}
		return errors.Join(refusals...)
	}
}

// checkFixed compares what is the same for every driver.
func checkFixed(before, after guard.Inputs) []error {
	var refusals []error
	refuse := func(key string, got, want any) {
		refusals = append(refusals, fmt.Errorf("%s: got %#v, want %#v, as when the volume was made: it cannot change while the data "+
			"stay; %s; to give the data up, set iris.protectData to false first", key, got, want, guard.MoveData))
	}
	was, wasKnown := before.Flag("install")
	will, willKnown := after.Flag("install")
	if wasKnown && willKnown && was != will {
		refuse("storage.install", will, was)
	}
	for _, field := range [][2]string{{"the storage driver", "driver"}, {"storage.className", "className"}} {
		was, will := before.Text(field[1]), after.Text(field[1])
		if was != "" && will != "" && was != will {
			refuse(field[0], will, was)
		}
	}
	return refusals
}
