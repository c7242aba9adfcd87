// Command floor is a Pulumi program that does nothing: what every run of the engine costs before a program does anything.
package main

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

func main() { pulumi.Run(func(*pulumi.Context) error { return nil }) }
