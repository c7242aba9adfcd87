package standin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// object is one resource that exists in a cloud.
type object struct {
	typ, id, urn string
	inputs       resource.PropertyMap
	outputs      resource.PropertyMap
	// drifted is what the resource really has since an update failed, by path. The engine learns of it when it reads.
	drifted fields
}

// logical is the resource's name in the program; empty for what the program did not make.
func (o *object) logical() string {
	if o.urn == "" {
		return ""
	}
	return resource.URN(o.urn).Name()
}

// fields returns the outputs, and the inputs that outputs do not repeat.
func (o *object) fields() fields { return toFields(merge(o.inputs, o.outputs)) }

// foreign reports whether the resource was there before any program ran.
func (o *object) foreign() bool { return o.urn == "" }

// world is what exists, oldest first. Its users hold the lock of Clouds.
type world struct {
	objects  []*object
	sequence int
}

func (w *world) find(typ, id string) *object {
	for _, o := range w.objects {
		if o.typ == typ && o.id == id {
			return o
		}
	}
	return nil
}

// where returns the resources of a type for which keep holds.
func (w *world) where(typ string, keep func(fields) bool) []*object {
	var found []*object
	for _, o := range w.objects {
		if o.typ == typ && keep(o.fields()) {
			found = append(found, o)
		}
	}
	return found
}

func (w *world) put(o *object) { w.objects = append(w.objects, o) }

func (w *world) drop(o *object) {
	w.objects = slices.DeleteFunc(w.objects, func(other *object) bool { return other == o })
}

// newID makes up an identifier: the prefix and n hexadecimal digits, different every time and the same in every run.
func (w *world) newID(prefix string, n int) string {
	w.sequence++
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", prefix, w.sequence)))
	return prefix + hex.EncodeToString(sum[:])[:n]
}
