package kubeconfig

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ReadFrom returns the text of a kubeconfig in a file, or from standard input for "-". An empty one is an error: that is what a pipe gives
// whose first command has failed.
func ReadFrom(file string, stdin io.Reader) (string, error) {
	var content []byte
	var err error
	if file == "-" {
		content, err = io.ReadAll(stdin)
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	if len(content) == 0 {
		return "", errors.New("the kubeconfig is empty")
	}
	return string(content), nil
}
