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

// The files that users copy must work as they are, the lines in comments included.
func TestStackFilesAreValid(t *testing.T) {
	t.Parallel()
	for _, cloud := range []Cloud{AKS, EKS, GKE} {
		content, err := os.ReadFile("../Pulumi." + string(cloud) + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(string(cloud), func(t *testing.T) {
			t.Parallel()
			cfg := fromStackFile(t, string(content))
			if cfg.Cloud != cloud {
				t.Errorf("cloud %s", cfg.Cloud)
			}
			if err := cfg.WithDefaults().Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOptionalSettingsInStackFilesExist(t *testing.T) {
	t.Parallel()
	for _, cloud := range []Cloud{AKS, EKS, GKE} {
		content, err := os.ReadFile("../Pulumi." + string(cloud) + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		known := strict.Keys(&Config{})
		for line := range strings.Lines(string(content)) {
			key, _, isSetting := strings.Cut(strings.TrimPrefix(line, "    # "), ":")
			commentedOut := isSetting && strings.HasPrefix(line, "    # ") && !strings.Contains(key, " ")
			if commentedOut && !slices.Contains(known, key) {
				t.Errorf("%s: %s is no setting", cloud, key)
			}
		}
	}
}

// fromStackFile reads a stack file the way the program does: strictly, and the providers' own keys beside ours.
func fromStackFile(t *testing.T, content string) Config {
	t.Helper()
	var file struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal([]byte(content), &file); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(file.Config["ha-iris:cluster"])
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	if err := strict.Decode(encoded, "cluster", &cfg); err != nil {
		t.Fatal(err)
	}
	for key, field := range map[string]*string{
		azureLocationKey: &cfg.Region, awsRegionKey: &cfg.Region, gcpRegionKey: &cfg.Region, gcpProjectKey: &cfg.Project,
	} {
		if value, ok := file.Config[key].(string); ok {
			*field = value
		}
	}
	cfg.Name = "ha-iris-" + string(cfg.Cloud)
	return cfg
}
