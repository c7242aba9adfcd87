package standin

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// diff is a provider's Diff: what changes between two sets of inputs, and whether in place.
//
// The outputs take part for inputs that the cloud decides when they are not given: not giving them any more is no
// change, and giving what the cloud had decided is none either (Terraform's "optional and computed").
func (k *kind) diff(vendor *cloud, olds, news, outputs resource.PropertyMap) *pulumirpc.DiffResponse {
	found := differences{kind: k, detailed: map[string]*pulumirpc.PropertyDiff{}}
	was, is, decided := toFields(olds), toFields(news), toFields(outputs)
	for _, key := range unionKeys(was, is) {
		if strings.HasPrefix(key, "__") || vendor.bridged && k.decidedByCloud(key, was, is, decided) {
			continue
		}
		found.compare(key, was[key], is[key])
	}
	response := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_NONE,
		HasDetailedDiff: true,
		DetailedDiff:    found.detailed,
	}
	if len(found.detailed) == 0 {
		return response
	}
	response.Changes = pulumirpc.DiffResponse_DIFF_SOME
	response.Diffs, response.Replaces = found.keys()
	response.DeleteBeforeReplace = len(response.Replaces) > 0 && k.deleteFirst(vendor, olds, news)
	return response
}

// deleteFirst says whether a replacement can only be made once the old one is gone. Two things cannot have one name: a
// bridged provider looks whether it made the name up (pulumi-terraform-bridge schema.go,
// nameRequiresDeleteBeforeReplace), azure-native deletes first unless it did (provider.go, Diff).
func (k *kind) deleteFirst(vendor *cloud, olds, news resource.PropertyMap) bool {
	if !vendor.bridged {
		flag := olds[createBeforeDeleteKey]
		return !flag.IsBool() || !flag.BoolValue()
	}
	if k.name == nil {
		return false
	}
	_, named := news[resource.PropertyKey(k.name.key)]
	return named && !wasFilled(vendor, news, k.name.key)
}

func (k *kind) decidedByCloud(key string, was, is, decided fields) bool {
	if !slices.Contains(k.computed, key) {
		return false
	}
	return !is.has(key) || !was.has(key) && reflect.DeepEqual(is.get(key), decided.get(key))
}

// changed lists the top-level inputs that differ.
func (k *kind) changed(was, is fields) []string {
	found := differences{kind: k, detailed: map[string]*pulumirpc.PropertyDiff{}}
	for _, key := range unionKeys(was, is) {
		if !strings.HasPrefix(key, "__") {
			found.compare(key, was[key], is[key])
		}
	}
	keys, _ := found.keys()
	return keys
}

type differences struct {
	kind     *kind
	detailed map[string]*pulumirpc.PropertyDiff
}

func (d *differences) compare(path string, was, is any) {
	if was == nil && is == nil {
		return
	}
	wasObject, wasIs := was.(map[string]any)
	isObject, isIs := is.(map[string]any)
	if (wasIs || was == nil) && (isIs || is == nil) {
		for _, key := range unionKeys(wasObject, isObject) {
			d.compare(path+"."+key, wasObject[key], isObject[key])
		}
		return
	}
	wasList, wasIsList := was.([]any)
	isList, isIsList := is.([]any)
	if wasIsList && isIsList {
		d.compareLists(path, wasList, isList)
		return
	}
	if !reflect.DeepEqual(was, is) {
		d.record(path, was, is)
	}
}

func (d *differences) compareLists(path string, was, is []any) {
	if slices.Contains(d.kind.sets, path) {
		was, is = sorted(was), sorted(is)
	}
	for i := range max(len(was), len(is)) {
		var before, after any
		if i < len(was) {
			before = was[i]
		}
		if i < len(is) {
			after = is[i]
		}
		d.compare(fmt.Sprintf("%s[%d]", path, i), before, after)
	}
}

func (d *differences) record(path string, was, is any) {
	replaces := d.kind.replacesAt(path)
	kind := pulumirpc.PropertyDiff_UPDATE
	switch {
	case was == nil && replaces:
		kind = pulumirpc.PropertyDiff_ADD_REPLACE
	case was == nil:
		kind = pulumirpc.PropertyDiff_ADD
	case is == nil && replaces:
		kind = pulumirpc.PropertyDiff_DELETE_REPLACE
	case is == nil:
		kind = pulumirpc.PropertyDiff_DELETE
	case replaces:
		kind = pulumirpc.PropertyDiff_UPDATE_REPLACE
	}
	d.detailed[path] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: true}
}

// replacesAt reports whether a path is one that cannot change in place, or lies below one.
func (k *kind) replacesAt(path string) bool {
	return slices.ContainsFunc(k.replaces, func(pattern string) bool {
		rest, below := strings.CutPrefix(path, pattern)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// keys returns the top-level inputs that change and those of them that force a replacement.
func (d *differences) keys() (changed, replaced []string) {
	for path, diff := range d.detailed {
		key := path
		if end := strings.IndexAny(path, ".["); end > 0 {
			key = path[:end]
		}
		changed = append(changed, key)
		switch diff.GetKind() {
		case pulumirpc.PropertyDiff_ADD_REPLACE, pulumirpc.PropertyDiff_DELETE_REPLACE,
			pulumirpc.PropertyDiff_UPDATE_REPLACE:
			replaced = append(replaced, key)
		case pulumirpc.PropertyDiff_ADD, pulumirpc.PropertyDiff_DELETE, pulumirpc.PropertyDiff_UPDATE:
		}
	}
	return unique(changed), unique(replaced)
}

func unique(values []string) []string {
	sort.Strings(values)
	return slices.Compact(values)
}

func unionKeys(a, b map[string]any) []string {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		keys = append(keys, key)
	}
	return unique(keys)
}

// sorted orders the elements of a set, so that two sets can be compared as lists.
func sorted(values []any) []any {
	ordered := slices.Clone(values)
	sort.Slice(ordered, func(i, j int) bool { return fmt.Sprint(ordered[i]) < fmt.Sprint(ordered[j]) })
	return ordered
}
