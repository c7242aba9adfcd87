package program

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

// goldenFile is where the golden file of a target is: not in testdata, to keep the top of the repository short.
func goldenFile(name string) string { return filepath.Join("test", "golden", name+".yaml") }

// deployment runs the whole program and returns what it asked of the engine.
func deployment(t *testing.T, options testkit.Options) *testkit.Recorder {
	t.Helper()
	recorder := &testkit.Recorder{Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("certificate")}
	if err := recorder.Run(Run, options); err != nil {
		t.Fatalf("run: %v", err)
	}
	return recorder
}

// everyTarget are the stack files as they come, and an existing cluster.
func everyTarget(t *testing.T) map[string]testkit.Options {
	t.Helper()
	targets := clouds(t)
	targets["existing"] = existing(t, nil)
	return targets
}

// withoutEnvironment unsets what the providers' SDKs take for inputs that are not given. A test that calls it is not parallel.
func withoutEnvironment(t *testing.T) {
	t.Helper()
	theirs := regexp.MustCompile(`^(PULUMI_K8S|AWS|ARM|GOOGLE|GCLOUD|CLOUDSDK|KUBECONFIG)`)
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if !theirs.MatchString(name) {
			continue
		}
		t.Setenv(name, value) // Restores it afterwards.
		if err := os.Unsetenv(name); err != nil {
			t.Fatalf("unset %s: %v", name, err)
		}
	}
}

// A change of any input, option or lookup on any target is seen, and is meant, or it is a mistake.
func TestProgram_AsksForWhatWasReviewed(t *testing.T) {
	withoutEnvironment(t)
	for name, options := range everyTarget(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := deployment(t, options)
			testkit.GoldenFile(t, goldenFile(name), up.Golden())
			options.Preview = true
			if got, want := urns(deployment(t, options)), urns(up); !slices.Equal(got, want) {
				t.Errorf("a preview registers\n%q\nand an up\n%q", got, want)
			}
		})
	}
}

func urns(recorder *testkit.Recorder) []string {
	var found []string
	for _, registration := range recorder.Registrations() {
		found = append(found, registration.URN)
	}
	return found
}

// variant is a target with the keys that its stack file leaves out.
type variant struct {
	target string
	// section of the configuration -> keys that are set in it.
	sections map[string]map[string]any
	// further keys and secrets.
	values, secrets map[string]string
}

func variants() map[string]variant {
	ranges := []string{"203.0.113.0/24", "2001:db8::/32"}
	all := map[string]variant{
		"aks-own": {
			target: "aks",
			sections: map[string]map[string]any{"cluster": {
				"apiServerSourceRanges": ranges[:1], "zones": []string{"1", "2", "3"}, "subnetIds": []string{
					"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes",
				},
				"serviceCidr": "192.168.0.0/20", "aadAdminGroups": []string{"0000000a-0000-0000-0000-000000000001"},
			}},
			values: map[string]string{"azure-native:subscriptionId": "00000000-0000-0000-0000-000000000001"},
		},
		"eks-private": {target: "eks", sections: map[string]map[string]any{"cluster": {
			"apiServerSourceRanges": ranges[:1], "privateNodes": true, "zones": []string{"euw1-az1", "euw1-az2", "euw1-az3"},
			"assumeRoleArn": "arn:aws:iam::123456789012:role/deployer",
		}}},
		"eks-subnets": {target: "eks", sections: map[string]map[string]any{"cluster": {
			"subnetIds": []string{"subnet-00000001", "subnet-00000002", "subnet-00000003"},
		}}},
		"gke-own": {target: "gke", sections: map[string]map[string]any{"cluster": {
			"apiServerSourceRanges": ranges[:1], "kubernetesVersion": "1.35", "deletionProtection": true,
			"maintenanceExclusions": []string{"2026-12-15T00:00:00Z/2027-01-10T00:00:00Z"},
			"network":               "databases", "subnetwork": "databases-europe-west1",
			"podRange": "pods", "serviceRange": "services", "privateNodes": true,
			"zones":              []string{"europe-west1-b", "europe-west1-c", "europe-west1-d"},
			"nodeServiceAccount": "nodes@acme-databases.iam.gserviceaccount.com",
		}}},
		"existing-licensed": {
			target: "existing",
			sections: map[string]map[string]any{"iris": {
				"edition": "licensed", "image": "containers.intersystems.com/intersystems/iris:2026.1.0.234.1",
				"webGateway": map[string]any{"image": "containers.intersystems.com/intersystems/webgateway-lockeddown:2026.1.0.234.1"},
				"registry":   map[string]any{"username": "someone@example.com"}, "tlsSecret": "portal-tls",
				"service": map[string]any{"type": "LoadBalancer", "sourceRanges": ranges, "superserver": true},
				"metrics": "serviceMonitor", "monitoringNamespace": "monitoring", "protectData": false,
			}},
			secrets: map[string]string{"irisLicenseKey": "[ConfigFile]\nLicenseCapacity=TEST-KEY-CONTENT\n", "irisRegistryPassword": "registry-token-1234"},
		},
	}
	maps.Copy(all, storageVariants())
	return all
}

// storageVariants are those of the storage, of backups and of what comes of them.
func storageVariants() map[string]variant {
	backup := map[string]any{"backup": "s3://acme-backups@eu-west-1/iris/?backup=backup-1&volume=pvc-1"}
	return map[string]variant{
		"existing-class": {target: "existing", sections: map[string]map[string]any{
			"storage": {"install": false, "className": "rook-ceph-block"},
		}},
		"aks-backup": {target: "aks", sections: map[string]map[string]any{"storage": {"backup": map[string]any{"managed": true}}}},
		"gke-backup": {target: "gke", sections: map[string]map[string]any{"storage": {"backup": map[string]any{"managed": true}}}},
		"eks-backup": {target: "eks", sections: map[string]map[string]any{"storage": {"backup": map[string]any{"managed": true}}}},
		"existing-backup": {
			target: "existing",
			sections: map[string]map[string]any{"storage": {"backup": map[string]any{
				"target": "s3://acme-backups@eu-west-1/iris/", "cron": "0 * * * *", "retain": 48,
			}}},
			secrets: map[string]string{"backupCredentials": `{"AWS_ACCESS_KEY_ID":"TEST-KEY-ID","AWS_SECRET_ACCESS_KEY":"TEST-KEY"}`},
		},
		"existing-watched": {target: "existing", sections: map[string]map[string]any{
			"iris": {
				"metrics": "serviceMonitor", "monitoringNamespace": "monitoring", "alerts": true, "dashboard": true,
				"monitoringLabels": map[string]string{"release": "kube-prometheus-stack"},
			},
			"storage": {"backup": map[string]any{"target": "nfs://nas.example.com:/backups", "cron": "0 * * * *"}},
		}},
		"existing-snapshots": {target: "existing", sections: map[string]map[string]any{"storage": {
			"snapshotClasses": true, "backup": map[string]any{"target": "nfs://nas.example.com:/backups"},
		}}},
		"existing-restore": {target: "existing", sections: map[string]map[string]any{
			"iris": {"generation": 3, "oldestGeneration": 2, "restoreFrom": backup},
		}},
		"existing-clone": {target: "existing", sections: map[string]map[string]any{"iris": {"restoreFrom": backup}}},
		"existing-backup-consistent": {
			target: "existing",
			sections: map[string]map[string]any{
				"storage": {"backup": map[string]any{
					"target": "nfs://nas.example:/backups", "consistent": map[string]any{"cron": "0 3 * * 0", "retain": 8}, "verify": map[string]any{"enabled": true},
				}},
				"failover": {"mode": "longhorn", "image": "registry.example/ha-iris/agent@sha256:" + strings.Repeat("1", 64)},
			},
		},
	}
}

// options merges the variant into its target's configuration.
func (v variant) options(t *testing.T, target testkit.Options) testkit.Options {
	t.Helper()
	target.Config = maps.Clone(target.Config)
	for section, keys := range v.sections {
		merged := map[string]any{}
		if given := target.Config["ha-iris:"+section]; given != "" {
			if err := json.Unmarshal([]byte(given), &merged); err != nil {
				t.Fatalf("read %s: %v", section, err)
			}
		}
		maps.Copy(merged, keys)
		text, err := json.Marshal(merged)
		if err != nil {
			t.Fatalf("write %s: %v", section, err)
		}
		target.Config["ha-iris:"+section] = string(text)
	}
	maps.Copy(target.Config, v.values)
	for name, value := range v.secrets {
		target.Config["ha-iris:"+name] = value
		target.Secrets = append(slices.Clone(target.Secrets), "ha-iris:"+name)
	}
	return target
}

// What only other settings bring is shown as the difference to the target's golden file.
func TestProgram_AsksForWhatWasReviewedWithOtherSettings(t *testing.T) {
	withoutEnvironment(t)
	targets := everyTarget(t)
	for name, variant := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := targets[variant.target]
			testkit.GoldenFile(t, goldenFile(name), deployment(t, variant.options(t, base)).GoldenBeside(deployment(t, base)))
		})
	}
}
