package tools

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// pinnedVersion reads a tool's version from where it is pinned, such as "v3.215.0".
func pinnedVersion(moduleDir, module string) (string, error) {
	path := filepath.Join(moduleDir, "go.mod")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the pinned version of %s: %w", module, err)
	}
	file, err := modfile.Parse(path, content, nil)
	if err != nil {
		return "", fmt.Errorf("parse %s: %w", path, err)
	}
	for _, require := range file.Require {
		if require.Mod.Path == module {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", path, module)
}

// firstVersion finds the first version in a program's output, plain ("v3.230.0") or inside JSON (kubectl's gitVersion).
func firstVersion(output string) (string, error) {
	found := regexp.MustCompile(`v[0-9]+\.[0-9]+\.[0-9]+[-+.0-9A-Za-z]*`).FindString(output)
	if !semver.IsValid(found) {
		return "", errors.New("no version in its output")
	}
	return found, nil
}

func sameMajorNotOlder(pinned, found string) bool {
	return semver.Major(found) == semver.Major(pinned) && semver.Compare(found, pinned) >= 0
}

// withinOneMinor is Kubernetes' skew policy for kubectl.
func withinOneMinor(pinned, found string) bool {
	if semver.Major(found) != semver.Major(pinned) {
		return false
	}
	distance := minor(found) - minor(pinned)
	return distance >= -1 && distance <= 1
}

func minor(version string) int {
	_, text, _ := strings.Cut(semver.MajorMinor(version), ".")
	number, err := strconv.Atoi(text)
	if err != nil {
		return -10 // not a version, hence close to none
	}
	return number
}

// linkKubernetes tells the components their version, by which Helm charts decide whether they support the cluster.
func linkKubernetes(version string) string {
	const component, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
	major := strings.TrimPrefix(semver.Major(version), "v")
	var flags []string
	for _, pkg := range []string{component, client} {
		flags = append(flags,
			fmt.Sprintf("-X %s.gitVersion=%s", pkg, version),
			fmt.Sprintf("-X %s.gitMajor=%s", pkg, major),
			fmt.Sprintf("-X %s.gitMinor=%d", pkg, minor(version)),
		)
	}
	return strings.Join(flags, " ")
}

// linkPulumi tells the CLI its version, which it compares with what projects ask for.
func linkPulumi(version string) string {
	return "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=" + version
}

// linkKo sets the version that ko names itself with, in the SBOM of each image too.
func linkKo(version string) string {
	return "-X github.com/google/ko/pkg/commands.Version=" + version
}

// linkProvider tells our main which version to announce to the engine.
func linkProvider(version string) string {
	return "-X main.version=" + strings.TrimPrefix(version, "v")
}
