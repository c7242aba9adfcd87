// Command pulumi-language-go runs Pulumi's Go language host with the options that Pulumi.yaml gives it.
//
// The last release of the host that can be built from a Go module (sdk v3.65.0) takes runtime options as flags. Today's
// engine passes them in its requests, which that host does not read: it would compile and link the program anew at every
// run, whatever options.buildTarget says. This wrapper hands the options over as the flags that the host knows.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// hostName is the host's own file name, beside this one.
const hostName = "pulumi-language-go-host"

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-language-go: %v\n", err)
	}
	os.Exit(code)
}

func run(args []string) (exitCode int, err error) {
	executable, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("find own directory: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return 1, fmt.Errorf("find working directory: %w", err)
	}
	options, err := runtimeOptions(dir)
	if err != nil {
		return 1, err
	}
	host := exec.Command(filepath.Join(filepath.Dir(executable), hostName), append(options, args...)...)
	host.Stdin, host.Stdout, host.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = host.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("run %s: %w", hostName, err)
	}
	return 0, nil
}

// runtimeOptions returns the options of the project that dir lies in, as flags. No project, no options.
func runtimeOptions(dir string) ([]string, error) {
	for {
		content, err := os.ReadFile(filepath.Join(dir, "Pulumi.yaml"))
		if err == nil {
			return parseOptions(content)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read project: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, nil
		}
		dir = parent
	}
}

func parseOptions(content []byte) ([]string, error) {
	var project struct {
		Runtime yaml.Node `yaml:"runtime"`
	}
	if err := yaml.Unmarshal(content, &project); err != nil {
		return nil, fmt.Errorf("parse project: %w", err)
	}
	if project.Runtime.Kind != yaml.MappingNode {
		return nil, nil // `runtime: go`, without options.
	}
	var runtime struct {
		Options struct {
			Binary      string `yaml:"binary"`
			BuildTarget string `yaml:"buildTarget"`
		} `yaml:"options"`
	}
	if err := project.Runtime.Decode(&runtime); err != nil {
		return nil, fmt.Errorf("parse runtime of project: %w", err)
	}
	switch {
	case runtime.Options.Binary != "":
		return []string{"-binary=" + runtime.Options.Binary}, nil
	case runtime.Options.BuildTarget != "":
		return []string{"-buildTarget=" + runtime.Options.BuildTarget}, nil
	default:
		return nil, nil
	}
}
