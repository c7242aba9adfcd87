package docs_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"ha-iris/cluster"
	"ha-iris/internal/strict"
	"ha-iris/iris"
	"ha-iris/storage"
)

var (
	configCommand = regexp.MustCompile(`pulumi (?:ARGS=")?config (?:set|rm)((?: --[a-z]+)*) ([^\s"` + "`" + `]+)`)
	keyPattern    = regexp.MustCompile(`^(cluster|storage|iris)\.[A-Za-z.]+$`)
)

// keys are those that Pulumi.yaml declares, each with the description that begins with its type. That they are the program's,
// go test ./internal/program checks.
func keys(t *testing.T) map[string]string {
	t.Helper()
	var project struct {
		Config map[string]struct {
			Description string `json:"description"`
		} `json:"config"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "Pulumi.yaml")), &project); err != nil {
		t.Fatalf("parse Pulumi.yaml: %v", err)
	}
	found := map[string]string{}
	for path, one := range project.Config {
		if !strings.HasPrefix(path, "pulumi:") {
			found[path] = one.Description
		}
	}
	if len(found) < 40 {
		t.Fatalf("found only %d keys", len(found))
	}
	return found
}

func TestDocs_NameKeysOfTheConfiguration(t *testing.T) {
	t.Parallel()
	known, commands, named := keys(t), 0, 0
	for page, text := range pages(t) {
		for _, part := range code(text) {
			if isForUsers(page) && keyPattern.MatchString(part) && !strings.HasSuffix(part, ".") {
				named++
				if !isKey(known, part) {
					t.Errorf("%s: there is no key %s", page, part)
				}
			}
			for _, match := range configCommand.FindAllStringSubmatch(part, -1) {
				key, ours := strings.CutPrefix(strings.Trim(match[2], "'"), "ha-iris:")
				if !ours && !isForUsers(page) {
					continue // Of another project.
				}
				commands++
				if !isKey(known, key) {
					t.Errorf("%s: %q sets %s, which does not exist", page, part, key)
				}
				if strings.Contains(key, ".") && !strings.Contains(match[1], "--path") {
					t.Errorf("%s: %q needs --path: it would set a key with a dot in its name", page, part)
				}
			}
		}
	}
	if commands < 10 || named < 40 {
		t.Errorf("found %d commands and %d keys; the check proves little", commands, named)
	}
}

// isKey accepts a key, a group of keys, and what is below a key that takes any object.
func isKey(known map[string]string, path string) bool {
	path, _, _ = strings.Cut(path, "[")
	for key, description := range known {
		if key == path || strings.HasPrefix(key, path+".") ||
			strings.HasPrefix(description, "Object.") && strings.HasPrefix(path, key+".") {
			return true
		}
	}
	return false
}

func TestDocs_ShowConfigurationThatIsAccepted(t *testing.T) {
	t.Parallel()
	examples := 0
	for page, text := range pages(t) {
		for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
			if match[1] != "yaml" || !strings.Contains(match[2], "ha-iris:") {
				continue
			}
			examples++
			if err := checkExample(match[2]); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, match[2])
			}
		}
	}
	if examples < 3 {
		t.Errorf("only %d examples found; the check proves little", examples)
	}
}

// checkExample decodes a stack file, or what stands below its key config.
func checkExample(text string) error {
	var shown map[string]json.RawMessage
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	if inner := shown["config"]; inner != nil {
		shown = nil
		if err := json.Unmarshal(inner, &shown); err != nil {
			return fmt.Errorf("parse config: %w", err)
		}
	}
	sections := map[string]any{"cluster": &cluster.Config{}, "storage": &storage.Config{}, "iris": &iris.Config{}}
	for key, value := range shown {
		name := strings.TrimPrefix(key, "ha-iris:")
		target := sections[name]
		if target == nil {
			return fmt.Errorf("there is no section %s", key)
		}
		if err := strict.Decode(value, name, target); err != nil {
			return err
		}
	}
	return nil
}
