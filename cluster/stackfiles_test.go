package cluster

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"ha-iris/internal/strict"
)

// created are the clouds in which the program makes a cluster, each with a stack file to copy.
func created() []Cloud {
	return slices.DeleteFunc(Clouds(), func(cloud Cloud) bool { return cloud == Existing })
}

// readStackFile returns the text of a cloud's stack file; empty when there is none.
func readStackFile(cloud Cloud) string {
	content, err := os.ReadFile("../Pulumi." + string(cloud) + ".yaml")
	if err != nil {
		return ""
	}
	return string(content)
}

// stackFile returns the configuration in a cloud's stack file.
func stackFile(cloud Cloud) map[string]any {
	var file struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal([]byte(readStackFile(cloud)), &file); err != nil {
		return nil
	}
	return file.Config
}

// The files that users copy must work as they are, the lines in comments included.
func TestStackFiles_AreValid(t *testing.T) {
	t.Parallel()
	for _, cloud := range created() {
		t.Run(string(cloud), func(t *testing.T) {
			t.Parallel()
			cfg := fromStackFile(t, stackFile(cloud))
			if cfg.Cloud != cloud {
				t.Errorf("cloud %s", cfg.Cloud)
			}
			if err := cfg.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOptionalSettingsInStackFiles_Exist(t *testing.T) {
	t.Parallel()
	for _, cloud := range created() {
		known := strict.Keys(&Config{})
		for line := range strings.Lines(readStackFile(cloud)) {
			key, _, isSetting := strings.Cut(strings.TrimPrefix(line, "    # "), ":")
			commentedOut := isSetting && strings.HasPrefix(line, "    # ") && !strings.Contains(key, " ")
			if commentedOut && !slices.Contains(known, key) {
				t.Errorf("%s: %s is no setting", cloud, key)
			}
		}
	}
}

// fromStackFile reads a stack file the way the program does: strictly, and the providers' own keys beside ours.
func fromStackFile(t *testing.T, file map[string]any) Config {
	t.Helper()
	encoded, err := json.Marshal(file["ha-iris:cluster"])
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	if err := strict.Decode(encoded, "cluster", &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Name = "ha-iris-" + string(cfg.Cloud)
	return cfg.Resolve(func(key string) string {
		value, _ := file[key].(string)
		return value
	})
}
