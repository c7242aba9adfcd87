package tools

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// publishedSum finds a file's SHA-256 in what a release publishes: the sum alone, as beside each file of Kubernetes; a list as
// sha256sum writes it; or GitHub's description of the release.
func publishedSum(content []byte, name string) (string, error) {
	content = bytes.TrimSpace(content)
	if bytes.HasPrefix(content, []byte("{")) {
		return githubDigest(content, name)
	}
	if isSum(string(content)) {
		return strings.ToLower(string(content)), nil
	}
	for line := range strings.Lines(string(content)) {
		// A star before the name means that the file was read as it is; some lists are made with ./*.
		sum, listed, _ := strings.Cut(strings.TrimSpace(line), " ")
		listed = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(listed), "*"), "./")
		if listed == name && isSum(sum) {
			return strings.ToLower(sum), nil
		}
	}
	return "", fmt.Errorf("no SHA-256 of %s", name)
}

func githubDigest(content []byte, name string) (string, error) {
	var description struct {
		Assets []struct{ Name, Digest string }
	}
	if err := json.Unmarshal(content, &description); err != nil {
		return "", errors.New("not GitHub's description of a release")
	}
	for _, asset := range description.Assets {
		if sum, found := strings.CutPrefix(asset.Digest, "sha256:"); asset.Name == name && found && isSum(sum) {
			return strings.ToLower(sum), nil
		}
	}
	return "", fmt.Errorf("no SHA-256 of %s", name)
}

func isSum(text string) bool {
	decoded, err := hex.DecodeString(text)
	return err == nil && len(decoded) == 32
}
