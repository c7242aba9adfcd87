// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider, built from its Go module for machines that
// cannot download the official plugin.
//
// The provider's own main cannot be installed as a module: it embeds two files that its repository generates and does
// not commit. This main does the same with the two source files, which lie beside the binary (sandbox/internal/tools
// copies them out of the module).
package main

import (
	"bytes"
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

// versionedSchema reads the schema and puts the version in front, as the provider's release build puts it in. As text: the
// engine starts this program at every preview, and parsing seven megabytes takes longer than all the rest of its start.
func versionedSchema(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	members, isObject := bytes.CutPrefix(bytes.TrimSpace(content), []byte("{"))
	if !isObject {
		return nil, fmt.Errorf("schema %s is not a JSON object", path)
	}
	return append(fmt.Appendf(nil, "{%q: %q,", "version", version), members...), nil
}
