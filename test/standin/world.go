package standin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// object is one resource that exists in a cloud.
type object struct {
	typ, id, urn string
	inputs       resource.PropertyMap
	outputs      resource.PropertyMap
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
	file     string
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

func (w *world) put(o *object) error {
	w.objects = append(w.objects, o)
	return w.save()
}

func (w *world) drop(o *object) error {
	w.objects = slices.DeleteFunc(w.objects, func(other *object) bool { return other == o })
	return w.save()
}

// newID makes up an identifier: the prefix and n hexadecimal digits, different every time and the same in every run.
func (w *world) newID(prefix string, n int) string {
	w.sequence++
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", prefix, w.sequence)))
	return prefix + hex.EncodeToString(sum[:])[:n]
}

// record is an object on disk.
type record struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	URN     string          `json:"urn,omitempty"`
	Inputs  json.RawMessage `json:"inputs"`
	Outputs json.RawMessage `json:"outputs"`
}

type snapshot struct {
	Sequence int      `json:"sequence"`
	Objects  []record `json:"objects"`
}

// save writes the world to its file, if it has one.
func (w *world) save() error {
	if w.file == "" {
		return nil
	}
	shot := snapshot{Sequence: w.sequence}
	for _, o := range w.objects {
		inputs, err := encode(o.inputs)
		if err != nil {
			return fmt.Errorf("save %s: %w", o.id, err)
		}
		outputs, err := encode(o.outputs)
		if err != nil {
			return fmt.Errorf("save %s: %w", o.id, err)
		}
		shot.Objects = append(shot.Objects, record{Type: o.typ, ID: o.id, URN: o.urn, Inputs: inputs, Outputs: outputs})
	}
	content, err := json.MarshalIndent(shot, "", "  ")
	if err != nil {
		return fmt.Errorf("save clouds: %w", err)
	}
	return writeFile(w.file, content)
}

// load reads the world from its file, if there is one.
func (w *world) load() error {
	if w.file == "" {
		return nil
	}
	content, err := os.ReadFile(w.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load clouds: %w", err)
	}
	var shot snapshot
	if err := json.Unmarshal(content, &shot); err != nil {
		return fmt.Errorf("load clouds from %s: %w", w.file, err)
	}
	w.sequence = shot.Sequence
	for _, r := range shot.Objects {
		inputs, err := decode(r.Inputs)
		if err != nil {
			return fmt.Errorf("load %s: %w", r.ID, err)
		}
		outputs, err := decode(r.Outputs)
		if err != nil {
			return fmt.Errorf("load %s: %w", r.ID, err)
		}
		w.objects = append(w.objects, &object{typ: r.Type, id: r.ID, urn: r.URN, inputs: inputs, outputs: outputs})
	}
	return nil
}

func encode(properties resource.PropertyMap) (json.RawMessage, error) {
	marshaled, err := marshal(properties)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(marshaled)
}

func decode(raw json.RawMessage) (resource.PropertyMap, error) {
	var marshaled structpb.Struct
	if err := protojson.Unmarshal(raw, &marshaled); err != nil {
		return nil, err
	}
	return unmarshal(&marshaled)
}

func marshal(properties resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(properties, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true,
	})
}

func unmarshal(marshaled *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(marshaled, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true,
	})
}

// writeFile replaces a file as a whole: another process may be reading it.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
