package recipes_test

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// renovate is what the checks need of .github/renovate.json.
type renovate struct {
	PackageRules []struct {
		Description    string   `json:"description"`
		MatchFileNames []string `json:"matchFileNames"`
	} `json:"packageRules"`
	CustomManagers []struct {
		Description         string   `json:"description"`
		ManagerFilePatterns []string `json:"managerFilePatterns"`
		MatchStrings        []string `json:"matchStrings"`
		DepName             string   `json:"depNameTemplate"`
	} `json:"customManagers"`
}

func parseRenovate(t *testing.T) renovate {
	t.Helper()
	var r renovate
	if err := json.Unmarshal([]byte(readFile(t, ".github", "renovate.json")), &r); err != nil {
		t.Fatalf("parse .github/renovate.json: %v", err)
	}
	return r
}

// A pattern that no longer matches fails nowhere: the updates just stop coming.
func TestRenovate_EveryPatternMatchesWhatItWatches(t *testing.T) {
	t.Parallel()
	files := sources(t)
	for _, manager := range parseRenovate(t).CustomManagers {
		for _, pattern := range manager.MatchStrings {
			matches := 0
			// Renovate compiles these with RE2, as Go does, and writes file patterns between slashes.
			expression := regexp.MustCompile(pattern)
			for _, quoted := range manager.ManagerFilePatterns {
				file := regexp.MustCompile(strings.Trim(quoted, "/"))
				watched := 0
				for path, content := range files {
					if !file.MatchString(path) {
						continue
					}
					watched++
					matches += len(expression.FindAllString(content, -1))
				}
				if watched == 0 {
					t.Errorf("%s: no file matches %s", manager.Description, quoted)
				}
			}
			if matches == 0 {
				t.Errorf("%s: nothing matches %s", manager.Description, pattern)
			}
		}
	}
}

func TestRenovate_WatchesLonghornAndIRIS(t *testing.T) {
	t.Parallel()
	files, found := sources(t), map[string]int{}
	for _, manager := range parseRenovate(t).CustomManagers {
		for _, pattern := range manager.MatchStrings {
			expression := regexp.MustCompile(pattern)
			for _, path := range []string{"storage/config.go", "storage/longhorn_config.go", "iris/config.go"} {
				for _, match := range expression.FindAllStringSubmatch(files[path], -1) {
					name := manager.DepName
					if at := expression.SubexpIndex("depName"); at > 0 {
						name = match[at]
					}
					if match[expression.SubexpIndex("currentValue")] != "" {
						found[name]++
					}
				}
			}
		}
	}
	// Longhorn's version stands in the code and in the comment that becomes its documentation.
	if found["longhorn"] != 2 || found["intersystems/iris-community"] != 1 {
		t.Errorf("found %v, want longhorn twice and intersystems/iris-community once", found)
	}
}

// A base with an image for one platform would make an agent for that one.
func TestRenovate_WatchesTheBaseOfTheAgentsImage(t *testing.T) {
	t.Parallel()
	const path = "agent/.ko.yaml"
	content, watched := sources(t)[path], false
	for _, manager := range parseRenovate(t).CustomManagers {
		for i, pattern := range manager.MatchStrings {
			expression := regexp.MustCompile(pattern)
			if i >= len(manager.ManagerFilePatterns) || !regexp.MustCompile(strings.Trim(manager.ManagerFilePatterns[i], "/")).MatchString(path) {
				continue
			}
			match := expression.FindStringSubmatch(content)
			watched = match != nil && match[expression.SubexpIndex("depName")] == "gcr.io/distroless/static-debian13" &&
				match[expression.SubexpIndex("currentValue")] == "nonroot" && match[expression.SubexpIndex("currentDigest")] != ""
		}
	}
	if !watched || strings.Count(content, "defaultBaseImage:") != 1 {
		t.Errorf("the base image is not watched, or not the one that is: %s", content)
	}
}

// Renovate finds every go.mod by itself; modules whose libraries must not be mixed are named.
func TestRenovate_KeepsKubernetesLibrariesTogetherInEveryModule(t *testing.T) {
	t.Parallel()
	var grouped []string
	for _, rule := range parseRenovate(t).PackageRules {
		if strings.HasPrefix(rule.Description, "Kubernetes' libraries") {
			grouped = rule.MatchFileNames
		}
	}
	for _, module := range []string{"go.mod", "sandbox/go.mod", "agent/go.mod"} {
		if !strings.Contains(readFile(t, filepath.FromSlash(module)), "k8s.io/client-go ") || !slices.Contains(grouped, module) {
			t.Errorf("%s has no client-go, or is not among %v", module, grouped)
		}
	}
}

func TestRenovate_NamesFilesThatExist(t *testing.T) {
	t.Parallel()
	for _, rule := range parseRenovate(t).PackageRules {
		for _, name := range rule.MatchFileNames {
			readFile(t, filepath.FromSlash(name))
		}
	}
}

// sources are the repository's Go files, and what else has pins, by their path below its top.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"agent/.ko.yaml": readFile(t, "agent", ".ko.yaml")}
	for _, dir := range []string{"storage", "iris", "examples"} {
		err := filepath.WalkDir(filepath.Join(root(t), dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			relative, err := filepath.Rel(root(t), path)
			if err != nil {
				return err
			}
			found[filepath.ToSlash(relative)] = readFile(t, relative)
			return nil
		})
		if err != nil {
			t.Fatalf("read sources: %v", err)
		}
	}
	return found
}
