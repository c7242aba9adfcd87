package standin

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	// defaultsKey is where a bridged provider remembers which inputs it filled in (pulumi-terraform-bridge
	// pkg/tfbridge/schema.go, defaultsKey).
	defaultsKey = "__defaults"
	// createBeforeDeleteKey is where azure-native remembers that it made up a random name (pulumi-azure-native
	// provider.go, createBeforeDeleteFlag).
	createBeforeDeleteKey = "__createBeforeDelete"
)

// kind is the contract of one resource type.
type kind struct {
	// required and optional are the inputs; any other input is refused.
	required, optional []string
	// inputOnly are inputs that a provider does not repeat in its outputs (the parameters of a resource's URL).
	inputOnly []string
	// computed are outputs that the cloud decides, unknown in the preview of a create. A dotted path is a member of an
	// object that is also an input.
	computed []string
	// replaces are inputs that cannot change in place; a path covers everything below it.
	replaces []string
	// sets are lists without an order.
	sets []string
	// secrets are outputs that the provider's schema calls sensitive.
	secrets []string
	// defaults are inputs that the provider fills in.
	defaults fields
	// name is the input that the provider makes up a name for. Nil: names are not made up.
	name *autoname
	// validate reports what the provider itself refuses, before any call.
	validate func(in fields, found *refusals)
	// create, update, refresh and remove are the cloud's side. They run one at a time. Nil update: nothing to check.
	create  func(c *change) error
	update  func(c *change) error
	refresh func(c *change)
	remove  func(c *change) error
	// unknownAfter says which computed outputs an update in place changes, given the inputs that changed.
	unknownAfter func(changed []string) []string
}

// autoname is how a provider makes up a name from the resource's name in the program.
type autoname struct {
	key string
	// separator, and then suffix random hexadecimal digits, follow the program's name.
	separator string
	suffix    int
	// uuid says that the name is a random UUID instead (azure-native provider.go, AutoNameUuid).
	uuid bool
}

// refusals gathers what a provider's Check refuses.
type refusals struct{ failures []*pulumirpc.CheckFailure }

func (r *refusals) add(property, format string, args ...any) {
	r.failures = append(r.failures, &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
}

// check is a provider's Check: it names, defaults and validates the inputs of a resource.
func (k *kind) check(p *provider, req *pulumirpc.CheckRequest, olds, news resource.PropertyMap) (
	resource.PropertyMap, []*pulumirpc.CheckFailure,
) {
	inputs := withoutInternals(news)
	var filled []string
	if key, ok := k.fillName(p.cloud, req, olds, inputs); ok {
		filled = append(filled, key)
	}
	for key, value := range k.defaults {
		if _, ok := inputs[resource.PropertyKey(key)]; !ok {
			inputs[resource.PropertyKey(key)] = toValue(value)
			filled = append(filled, key)
		}
	}
	if p.cloud.prepare != nil {
		p.cloud.prepare(p, k, olds, inputs)
	}
	var found refusals
	k.checkMembers(inputs, &found)
	if k.validate != nil && len(found.failures) == 0 {
		k.validate(toFields(inputs), &found)
	}
	k.remember(p.cloud, filled, inputs)
	return inputs, found.failures
}

// takes reports whether there is such an input.
func (k *kind) takes(key string) bool {
	return slices.Contains(k.required, key) || slices.Contains(k.optional, key)
}

func (k *kind) checkMembers(inputs resource.PropertyMap, found *refusals) {
	for _, key := range k.required {
		if value, ok := inputs[resource.PropertyKey(key)]; !ok || value.IsNull() {
			found.add(key, "missing required property '%s'", key)
		}
	}
	for _, key := range sortedKeys(inputs) {
		if !k.takes(key) {
			found.add(key, "unsupported property '%s'", key)
		}
	}
}

// fillName makes up a name, or keeps the one made up before. The engine sends no olds when it plans a replacement, which
// is how the replacement gets a name of its own.
func (k *kind) fillName(
	vendor *cloud, req *pulumirpc.CheckRequest, olds, inputs resource.PropertyMap,
) (string, bool) {
	if k.name == nil {
		return "", false
	}
	key := resource.PropertyKey(k.name.key)
	if _, given := inputs[key]; given {
		return "", false
	}
	if old, ok := olds[key]; ok && wasFilled(vendor, olds, k.name.key) {
		inputs[key] = old
		return k.name.key, true
	}
	logical := resource.URN(req.GetUrn()).Name()
	name, err := resource.NewUniqueName(req.GetRandomSeed(), logical+k.name.separator, max(k.name.suffix, 7), 0, nil)
	if err != nil { // Only a maximum length can fail, and there is none.
		return "", false
	}
	if k.name.uuid {
		digits := strings.Join([]string{name, lowerHash(name, 32)}, "")
		digits = digits[len(digits)-32:]
		name = strings.Join([]string{digits[:8], digits[8:12], "4" + digits[13:16], "8" + digits[17:20], digits[20:]}, "-")
	}
	inputs[key] = resource.NewStringProperty(name)
	return k.name.key, true
}

// wasFilled reports whether the provider made the value up at an earlier Check.
func wasFilled(vendor *cloud, olds resource.PropertyMap, key string) bool {
	if !vendor.bridged {
		flag := olds[createBeforeDeleteKey]
		return flag.IsBool() && flag.BoolValue()
	}
	list, ok := olds[defaultsKey]
	if !ok || !list.IsArray() {
		return false
	}
	return slices.ContainsFunc(list.ArrayValue(), func(v resource.PropertyValue) bool {
		return v.IsString() && v.StringValue() == key
	})
}

func (k *kind) remember(vendor *cloud, filled []string, inputs resource.PropertyMap) {
	if !vendor.bridged {
		if k.name != nil && slices.Contains(filled, k.name.key) {
			inputs[createBeforeDeleteKey] = resource.NewBoolProperty(true)
		}
		return
	}
	sort.Strings(filled)
	inputs[defaultsKey] = toValue(anyList(filled))
}

// outputs are the inputs as the provider repeats them, under what the cloud decided.
func (k *kind) outputs(inputs resource.PropertyMap, decided fields) resource.PropertyMap {
	repeated := withoutInternals(inputs)
	for _, key := range k.inputOnly {
		delete(repeated, resource.PropertyKey(key))
	}
	all := merge(repeated, toProperties(decided))
	for _, path := range k.secrets {
		markSecret(all, path)
	}
	return all
}

// previewCreate are the outputs of a resource that does not exist yet.
func (k *kind) previewCreate(inputs resource.PropertyMap) resource.PropertyMap {
	decided := fields{}
	k.fillUnknown(toFields(inputs), decided)
	return k.outputs(inputs, decided)
}

// previewUpdate are the outputs after an update in place that has not happened yet.
func (k *kind) previewUpdate(vendor *cloud, inputs, olds, was resource.PropertyMap) resource.PropertyMap {
	in, old := toFields(inputs), toFields(was)
	decided := fields{}
	if vendor.bridged {
		decided = k.carried(in, old)
		if k.unknownAfter != nil {
			for _, path := range k.unknownAfter(k.changed(toFields(olds), in)) {
				decided.set(path, unknown{})
			}
		}
	} else {
		// azure-native provider.go, Update: of the outputs, only these are known to be stable.
		for _, key := range []string{"name", "location"} {
			if old.has(key) {
				decided.set(key, old.get(key))
			}
		}
	}
	k.fillUnknown(in, decided)
	return k.outputs(inputs, decided)
}

// fillUnknown makes every computed output unknown that neither the inputs nor decided have.
func (k *kind) fillUnknown(in, decided fields) {
	for _, path := range k.computed {
		block, _, nested := strings.Cut(path, ".")
		if in.has(path) || decided.has(path) || nested && !in.has(block) {
			continue
		}
		decided.set(path, unknown{})
	}
}

// carried are the computed outputs that stay as they were, because the inputs say nothing about them.
func (k *kind) carried(in, was fields) fields {
	kept := fields{}
	for _, path := range k.computed {
		if !in.has(path) && was.has(path) {
			kept.set(path, was.get(path))
		}
	}
	return kept
}

// withoutInternals copies a property map without nulls and what providers keep to themselves.
func withoutInternals(properties resource.PropertyMap) resource.PropertyMap {
	kept := make(resource.PropertyMap, len(properties))
	for key, value := range properties {
		if !strings.HasPrefix(string(key), "__") && !value.IsNull() {
			kept[key] = value
		}
	}
	return kept
}

func sortedKeys(properties resource.PropertyMap) []string {
	keys := make([]string, 0, len(properties))
	for key := range properties {
		if !strings.HasPrefix(string(key), "__") {
			keys = append(keys, string(key))
		}
	}
	sort.Strings(keys)
	return keys
}
