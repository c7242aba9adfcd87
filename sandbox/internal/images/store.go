package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Annotations in index.json. The first two are OCI's.
const (
	nameAnnotation   = "org.opencontainers.image.ref.name"
	playsAnnotation  = "org.opencontainers.image.description"
	inputsAnnotation = "ha-iris.local/inputs"
)

const indexFile = "index.json"

// store is a directory with an OCI image layout.
type store string

// product is an image with the recipe that it was built by.
type product struct {
	recipe
	image v1.Image
}

func (s store) blob(digest v1.Hash) string {
	return filepath.Join(string(s), "blobs", digest.Algorithm, digest.Hex)
}

// index reads what is there.
func (s store) index() (*v1.IndexManifest, error) {
	content, err := os.ReadFile(filepath.Join(string(s), indexFile))
	if err != nil {
		return nil, fmt.Errorf("read the list of images: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("read the list of images in %s: %w", string(s), err)
	}
	return &index, nil
}

// write adds the images, replaces the list of them in one step and deletes what no image has any more.
func (s store) write(products []product, inputs string) error {
	path := layout.Path(s)
	var index v1.ImageIndex = empty.Index
	for _, p := range products {
		if err := path.WriteImage(p.image); err != nil {
			return fmt.Errorf("write image %s: %w", p.names[0], err)
		}
		for _, name := range p.names {
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: p.image, Descriptor: v1.Descriptor{
				Annotations: map[string]string{nameAnnotation: name, playsAnnotation: p.plays},
			}})
		}
	}
	index, ok := mutate.Annotations(index, map[string]string{inputsAnnotation: inputs}).(v1.ImageIndex)
	if !ok {
		return errors.New("the list of images takes no annotation")
	}
	content, err := index.RawManifest()
	if err != nil {
		return fmt.Errorf("list the images: %w", err)
	}
	if err := path.WriteFile("oci-layout", []byte(`{"imageLayoutVersion": "1.0.0"}`+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the layout's version: %w", err)
	}
	if err := path.WriteFile(indexFile+".new", content, 0o644); err != nil {
		return fmt.Errorf("write the list of images: %w", err)
	}
	list := filepath.Join(string(s), indexFile)
	if err := os.Rename(list+".new", list); err != nil {
		return fmt.Errorf("put the list of images in place: %w", err)
	}
	return s.deleteUnused()
}

func (s store) deleteUnused() error {
	path := layout.Path(s)
	unused, err := path.GarbageCollect()
	for _, digest := range unused {
		err = errors.Join(err, path.RemoveBlob(digest))
	}
	if err != nil {
		return fmt.Errorf("delete what no image has any more: %w", err)
	}
	return nil
}

// images lists the images if they were built from these inputs and all of their content is there.
func (s store) images(inputs string) ([]Image, error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	if index.Annotations[inputsAnnotation] != inputs {
		return nil, errors.New("the images were built from other sources")
	}
	var images []Image
	for _, found := range index.Manifests {
		size, err := s.size(found)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", found.Annotations[nameAnnotation], err)
		}
		images = append(images, Image{
			Name: found.Annotations[nameAnnotation], Digest: found.Digest.String(), Size: size, Plays: found.Annotations[playsAnnotation],
		})
	}
	return images, nil
}

// size adds up an image's content and fails if some is missing.
func (s store) size(found v1.Descriptor) (int64, error) {
	content, err := os.ReadFile(s.blob(found.Digest))
	if err != nil {
		return 0, fmt.Errorf("read its manifest: %w", err)
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return 0, fmt.Errorf("read its manifest: %w", err)
	}
	size := int64(len(content))
	for _, blob := range append(manifest.Layers, manifest.Config) {
		info, err := os.Stat(s.blob(blob.Digest))
		if err != nil || info.Size() != blob.Size {
			return 0, fmt.Errorf("%s is missing or damaged", blob.Digest)
		}
		size += blob.Size
	}
	return size, nil
}
