// Package guard refuses updates, in previews already, for what they would do to data.
package guard

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// MoveData is the way out that refusals name when only other storage would do.
const MoveData = "to move the data, bring up a second stack with the new settings, restore a backup of this one into it, switch the " +
	"clients, then destroy this one"

// Check is called with a resource's recorded inputs and those it is to have; what it returns stops the update.
type Check func(before, after Inputs) error

// BeforeUpdate returns a resource's option that calls check before each update, in previews too. name must be the stack's
// only one of that name. A replacement is no update: the engine calls no hook for it.
func BeforeUpdate(ctx *pulumi.Context, name string, check Check) (pulumi.ResourceOption, error) {
	hook, err := register(ctx, name, check)
	if err != nil {
		return nil, err
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), nil
}

// BeforeWrite returns a resource's option that calls check before the resource is created, then without recorded inputs, and
// before each update, in previews too. A replacement counts as a creation. name must be the stack's only one of that name.
func BeforeWrite(ctx *pulumi.Context, name string, check Check) (pulumi.ResourceOption, error) {
	hook, err := register(ctx, name, check)
	if err != nil {
		return nil, err
	}
	both := []*pulumi.ResourceHook{hook}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeCreate: both, BeforeUpdate: both}), nil
}

// BeforeCreate returns a resource's option that calls check before the resource is created, in previews too. A replacement counts as a
// creation. name must be the stack's only one of that name.
func BeforeCreate(ctx *pulumi.Context, name string, check Check) (pulumi.ResourceOption, error) {
	hook, err := register(ctx, name, check)
	if err != nil {
		return nil, err
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeCreate: []*pulumi.ResourceHook{hook}}), nil
}

func register(ctx *pulumi.Context, name string, check Check) (*pulumi.ResourceHook, error) {
	hook, err := ctx.RegisterResourceHook(name, func(change *pulumi.ResourceHookArgs) error {
		return check(Inputs{change.OldInputs}, Inputs{change.NewInputs})
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register hook %s: %w", name, err)
	}
	return hook, nil
}

// Inputs are a resource's.
type Inputs struct{ properties resource.PropertyMap }

// InputsOf wraps properties, for checks that are called without an engine.
func InputsOf(properties resource.PropertyMap) Inputs { return Inputs{properties} }

// None reports whether there are no inputs, as before a resource's creation.
func (i Inputs) None() bool { return len(i.properties) == 0 }

// Flag returns the boolean at a path, and whether there is one that is known.
func (i Inputs) Flag(path ...any) (value, found bool) {
	property, found := i.at(path)
	if !found || !property.IsBool() {
		return false, false
	}
	return property.BoolValue(), true
}

// Text returns the string at a path; "" when it is missing, not known yet or something else.
func (i Inputs) Text(path ...any) string {
	if value, found := i.at(path); found && value.IsString() {
		return value.StringValue()
	}
	return ""
}

// Number returns the number at a path, and whether there is one that is known.
func (i Inputs) Number(path ...any) (float64, bool) {
	if value, found := i.at(path); found && value.IsNumber() {
		return value.NumberValue(), true
	}
	return 0, false
}

// Has reports whether any string among the inputs, at any depth, is this text.
func (i Inputs) Has(text string) bool { return i.Any(func(one string) bool { return one == text }) }

// Any reports whether any string among the inputs, at any depth, is a wanted one.
func (i Inputs) Any(wanted func(text string) bool) bool {
	return holds(resource.NewObjectProperty(i.properties), wanted)
}

func holds(value resource.PropertyValue, wanted func(text string) bool) bool {
	switch {
	case value.IsString():
		return wanted(value.StringValue())
	case value.IsSecret():
		return holds(value.SecretValue().Element, wanted)
	case value.IsArray():
		return slices.ContainsFunc(value.ArrayValue(), func(one resource.PropertyValue) bool { return holds(one, wanted) })
	case value.IsObject():
		for _, one := range value.ObjectValue() {
			if holds(one, wanted) {
				return true
			}
		}
	}
	return false
}

// Changed reports whether the value at a path differs between two sets of inputs. A value that is not known yet differs.
func Changed(before, after Inputs, path ...any) bool {
	was, had := before.at(path)
	will, has := after.at(path)
	return had != has || has && (will.ContainsUnknowns() || !was.DeepEquals(will))
}

// ChangedKeys returns the keys of the object at a path whose values differ between two sets of inputs, sorted. A value that is
// not known yet differs.
func ChangedKeys(before, after Inputs, path ...any) []string {
	keys := map[string]bool{}
	for _, inputs := range []Inputs{before, after} {
		if object, found := inputs.at(path); found && object.IsObject() {
			for key := range object.ObjectValue() {
				keys[string(key)] = true
			}
		}
	}
	maps.DeleteFunc(keys, func(key string, _ bool) bool {
		return !Changed(before, after, append(slices.Clone(path), key)...)
	})
	return slices.Sorted(maps.Keys(keys))
}

func (i Inputs) at(path resource.PropertyPath) (resource.PropertyValue, bool) {
	return path.Get(resource.NewObjectProperty(i.properties))
}
