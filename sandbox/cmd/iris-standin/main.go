// Command iris-standin plays an InterSystems IRIS container in the lab. It acts by the name that it is called with:
// iris-main is the container's entry point, iris the vendor's command. Not a product of InterSystems.
package main

import (
	"os"
	"path/filepath"

	"ha-iris/sandbox/internal/irisstandin"
)

func main() {
	streams := irisstandin.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(irisstandin.Run(filepath.Base(os.Args[0]), os.Args[1:], streams))
}
