// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider, built from its Go module for machines that
// cannot download the official plugin.
//
// The provider's own main cannot be installed as a module: it embeds two files that its repository generates and does
// not commit. This main does the same with the two source files, which lie beside the binary (sandbox/internal/tools
// copies them out of the module).
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// version is set by the linker. It must be the version of pulumi-kubernetes/sdk/v4 in the program's go.mod: the engine
// looks for the plugin under that number.
var version = "0.0.0-dev"

func main() {
	if err := serve(); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-kubernetes: %v\n", err)
		os.Exit(1)
	}
}

func serve() error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own directory: %w", err)
	}
	dir := filepath.Dir(executable)
	schema, err := mapped(filepath.Join(dir, "schema.json"))
	if err != nil {
		return err
	}
	mapping, err := mapped(filepath.Join(dir, "terraform-mapping.json"))
	if err != nil {
		return err
	}
	provider.Serve("kubernetes", version, schema, mapping)
	return nil
}

// mapped returns a file's content, read-only and for as long as this process lives, without reading it: the engine starts
// this program at every preview, a preview asks for neither file, and seven megabytes are a fifth of the start otherwise.
func mapped(path string) (content []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("map into memory: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }() // The mapping stays.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("map into memory: %w", err)
	}
	content, err = syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", path, err)
	}
	return content, nil
}
