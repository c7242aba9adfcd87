// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider, built from its Go module for machines that
// cannot download the official plugin.
//
// The provider's own main cannot be installed as a module: it embeds two files that its repository generates and does
// not commit. This main does the same with the two source files, which lie beside the binary (sandbox/internal/tools
// copies them out of the module).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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
	schema, err := versionedSchema(filepath.Join(dir, "schema.json"))
	if err != nil {
		return err
	}
	mapping, err := os.ReadFile(filepath.Join(dir, "terraform-mapping.json"))
	if err != nil {
		return fmt.Errorf("read terraform mapping: %w", err)
	}
	provider.Serve("kubernetes", version, schema, mapping)
	return nil
}

// versionedSchema reads the schema and writes the version into it, as the provider's release build does.
func versionedSchema(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(content, &spec); err != nil {
		return nil, fmt.Errorf("parse schema %s: %w", path, err)
	}
	if spec["version"], err = json.Marshal(version); err != nil {
		return nil, fmt.Errorf("encode version %q: %w", version, err)
	}
	versioned, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return versioned, nil
}
