package images

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ha-iris/sandbox/internal/layout"
	"ha-iris/sandbox/internal/lock"
	"ha-iris/sandbox/internal/progress"
	"ha-iris/sandbox/internal/tools"
)

// progressEvery is how often a running build says that it still runs.
const progressEvery = 5 * time.Second

// Image is an image under one of its names.
type Image struct {
	// Name is the reference in full, such as docker.io/longhornio/longhorn-manager:v1.12.1.
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Size is that of everything that a node pulls, in bytes.
	Size int64 `json:"size"`
	// Plays says what the image stands for.
	Plays string `json:"plays"`
}

// Ensure builds the images of a checkout, unless they are there and nothing that they are made from has changed.
func Ensure(ctx context.Context, l layout.Layout, progress io.Writer) ([]Image, error) {
	return ensure(ctx, options{module: l.Module(), agent: l.AgentModule(), dir: l.Images(), progress: progress})
}

// options are where things are.
type options struct {
	module, dir string
	agent       string // The agent's module; empty: no image of it.
	busybox     string // Empty: on PATH.
	progress    io.Writer
}

func ensure(ctx context.Context, o options) ([]Image, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("the lab's images are built on Linux only, from its static busybox; this is %s", runtime.GOOS)
	}
	busybox, err := findBusybox(ctx, o.busybox)
	if err != nil {
		return nil, err
	}
	toolchain, err := tools.GoToolchain(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of images: %w", err)
	}
	unlock, err := lock.Take(ctx, o.dir+".lock", func() { o.say("another command builds the images: waiting for it") })
	if err != nil {
		return nil, err
	}
	defer unlock()
	inputs, err := inputsKey(o, toolchain, busybox)
	if err != nil {
		return nil, err
	}
	s := store(o.dir)
	if found, err := s.images(inputs); err == nil {
		return found, nil
	}
	began := time.Now()
	defer progress.Every(progressEvery, func(soFar time.Duration) { o.say("building the lab's images, %s so far", soFar) })()
	b := &builder{options: o, busybox: busybox, layers: map[string]v1.Layer{}}
	if err := b.build(ctx, s, inputs); err != nil {
		return nil, err
	}
	o.say("built the lab's images in %.1f s", time.Since(began).Seconds())
	return s.images(inputs)
}

func (o options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.progress, format+"\n", args...) // The images count, not the remark.
}

// builder builds images that share layers.
type builder struct {
	options
	busybox  string
	programs string // The directory of the compiled programs.
	layers   map[string]v1.Layer
}

func (b *builder) program(name string) string { return filepath.Join(b.programs, name) }

func (b *builder) build(ctx context.Context, s store, inputs string) error {
	recipes, err := table(b.options)
	if err != nil {
		return err
	}
	if b.programs, err = os.MkdirTemp(b.dir, ".programs-"); err != nil {
		return fmt.Errorf("make a directory for programs: %w", err)
	}
	defer func() { _ = os.RemoveAll(b.programs) }()
	if err := b.compile(ctx); err != nil {
		return err
	}
	var finished []product
	for _, r := range recipes {
		image, err := b.image(r)
		if err != nil {
			return fmt.Errorf("image %s: %w", r.names[0], err)
		}
		finished = append(finished, product{r, image})
	}
	return s.write(finished, inputs)
}

// compile builds the programs of the images.
func (b *builder) compile(ctx context.Context) error {
	packages := []string{"./cmd/pause", "./cmd/nc", "./cmd/iris-standin"}
	if hasLonghorn(b.module) {
		packages = append(packages, "./cmd/"+longhornProgram)
	}
	if err := tools.Compile(ctx, b.module, b.programs, packages...); err != nil || b.agent == "" {
		return err
	}
	return tools.Compile(ctx, b.agent, b.programs, ".")
}

// image stacks a recipe's layers. Its time of creation is not set, as all times in it.
func (b *builder) image(r recipe) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: r.config})
	if err != nil {
		return nil, fmt.Errorf("describe it: %w", err)
	}
	for _, p := range r.parts {
		layer, err := b.layer(p)
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, fmt.Errorf("add layer %q: %w", p.name, err)
		}
	}
	return image, nil
}

func (b *builder) layer(p part) (v1.Layer, error) {
	if layer, found := b.layers[p.name]; found {
		return layer, nil
	}
	content, err := p.make(b)
	if err != nil {
		return nil, err
	}
	layer, err := content.layer()
	if err != nil {
		return nil, err
	}
	b.layers[p.name] = layer
	return layer, nil
}
