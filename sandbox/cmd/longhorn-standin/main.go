//go:build linux

// Command longhorn-standin plays the containers of Longhorn's pods in the lab. It acts by its first argument, or by the name that
// it is called with. Not a part of Longhorn.
package main

import (
	"os"

	"ha-iris/sandbox/internal/datapath/roles"
)

func main() {
	os.Exit(roles.Run(os.Args, roles.Streams{Out: os.Stdout, Err: os.Stderr}))
}
