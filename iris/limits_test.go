package iris

import (
	"fmt"
	"strings"
	"testing"

	"ha-iris/internal/secret"
)

func TestValidate_RefusesWhatNothingCouldHold(t *testing.T) {
	t.Parallel()
	many := make([]string, maxClients+1)
	for i := range many {
		many[i] = fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)
	}
	long := strings.Repeat("x", 9000)
	mistakes{
		`iris.memory: got "900Ti", want at most 32Ti`: func(c *Config) { c.Memory = "900Ti" },
		`iris.size: got "7Pi", want at most 64Ti`:     func(c *Config) { c.Size = "7Pi" },
		`iris.cpuLimit: got "99999", want at most`:    func(c *Config) { c.CPULimit = "99999" },
		`iris.service.sourceRanges: got 1001 networks, want at most 1000`: func(c *Config) {
			c.Service.Type, c.Service.SourceRanges = LoadBalancer, many
		},
		`iris.service.annotations: got 270`: func(c *Config) {
			c.Service.Annotations = map[string]string{}
			for i := range 30 {
				c.Service.Annotations[fmt.Sprintf("example.com/n%02d", i)] = long
			}
		},
		`iris.cpf: got `: func(c *Config) { c.CPF = map[string]map[string]string{"X": {"k": strings.Repeat("x", maxMergeFile)}} },
		`iris.actions: got `: func(c *Config) {
			c.Actions = []string{"CreateNamespace:Name=" + strings.Repeat("x", maxMergeFile)}
		},
		`iris.timeZone: got 9000 characters`: func(c *Config) { c.TimeZone = long },
	}.areRefused(t)
	err := community(func(c *Config) { c.CPU, c.CPULimit = "2000", "2000" }).Validate()
	for _, path := range []string{"iris.cpu", "iris.cpuLimit"} {
		if err == nil || !strings.Contains(err.Error(), path+`: got "2000", want at most 1920`) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestValidate_RefusesALicensedImageAsCommunity(t *testing.T) {
	t.Parallel()
	for image, licensed := range map[string]bool{
		"intersystems/iris:2026.1.0.233.0":                                                  true,
		"containers.intersystems.com/intersystems/iris:2026.1.0.233.0":                      true,
		"containers.intersystems.com/intersystems/irishealth:2026.1.0.233.0":                true,
		"containers.intersystems.com/intersystems/iris-arm64:2026.1.0.233.0":                true,
		"containers.intersystems.com/intersystems/iris-ml-arm64:2026.1.0.233.0":             true,
		"containers.intersystems.com/intersystems/irishealth-ml:2026.1.0.233.0":             true,
		"mirror.example.com/intersystems/iris-lockeddown@sha256:" + strings.Repeat("0", 64): true,
		"containers.intersystems.com/intersystems/iris-community:2026.1.0.233.0":            false,
		"containers.intersystems.com/intersystems/iris-community-arm64:2026.1.0.233.0":      false,
		"containers.intersystems.com/intersystems/iris-ml-community:2026.1.0.233.0":         false,
		"containers.intersystems.com/intersystems/irishealth-community:2026.1.0.233.0":      false,
		"registry.example.com/team/iris:1.2.3":                                              false,
		"registry.example.com/intersystems/our-iris:1.2.3":                                  false,
	} {
		err := community(func(c *Config) { c.Image = image }).Validate()
		if refused := err != nil && strings.Contains(err.Error(), "want an image of the Community edition"); refused != licensed ||
			!licensed && err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestConfig_FitsTheMachine(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) { c.CPU, c.Memory = "4", "16Gi"; c.Password = secret.New("x") })
	err := cfg.CheckMachine("m6i.xlarge", 4, 16*gib)
	for _, want := range []string{
		`iris.cpu: got "4", want less than the 4 cores of a node (m6i.xlarge)`, `iris.memory: got "16Gi", want less than the 16 GiB of a node`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := cfg.CheckMachine("m6i.2xlarge", 8, 32*gib); err != nil {
		t.Errorf("refused: %v", err)
	}
	if err := cfg.CheckMachine("unknown", 0, 0); err != nil {
		t.Errorf("refused what is not known: %v", err)
	}
}
