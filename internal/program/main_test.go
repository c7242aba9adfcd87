package program

import (
	"fmt"
	"os"
	"testing"
)

// The tests run at the top of the repository, where the engine runs the program: paths in the configuration start there.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
