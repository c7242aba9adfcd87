package cluster

import (
	"slices"
	"strings"
	"testing"
)

// Where an API server keeps the networks that may reach it. Each cloud takes none for "the internet".
func TestAPIServer_AdmitsTheSourceRangesOnly(t *testing.T) {
	t.Parallel()
	ranges := []string{"203.0.113.0/24", "198.51.100.7/32"}
	for cloud, control := range map[Cloud]struct {
		typeToken string
		want      map[string]any
	}{
		AKS: {aksType, map[string]any{"apiServerAccessProfile.authorizedIPRanges": ranges}},
		EKS: {eksType, map[string]any{"vpcConfig.publicAccessCidrs": ranges}},
		GKE: {gkeType, map[string]any{
			"masterAuthorizedNetworksConfig.cidrBlocks[0].cidrBlock": ranges[0],
			"masterAuthorizedNetworksConfig.cidrBlocks[1].cidrBlock": ranges[1],
			// Otherwise everybody's machines in Google's cloud are admitted too.
			"masterAuthorizedNetworksConfig.gcpPublicCidrsAccessEnabled": false,
		}},
	} {
		t.Run(string(cloud), func(t *testing.T) {
			t.Parallel()
			cfg := valid(cloud)
			cfg.APIServerSourceRanges = ranges
			assertInputs(t, provide(cfg, false).mustSucceed(t).One(t, control.typeToken, "ha-iris-test"), control.want)
		})
	}
}

func TestProviders_ActAsConfigured(t *testing.T) {
	t.Parallel()
	azure, amazon, google := valid(AKS), valid(EKS), valid(GKE)
	azure.Subscription = "00000000-0000-0000-0000-000000000001"
	amazon.AssumeRoleARN = "arn:aws:iam::123456789012:role/deployer"
	for typeToken, test := range map[string]struct {
		cfg  Config
		want map[string]any
	}{
		"pulumi:providers:azure-native": {azure, map[string]any{"location": "westeurope", "subscriptionId": azure.Subscription}},
		"pulumi:providers:aws":          {amazon, map[string]any{"region": "eu-west-1", "assumeRole.roleArn": amazon.AssumeRoleARN}},
		"pulumi:providers:gcp":          {google, map[string]any{"region": "europe-west1", "project": "acme-databases"}},
	} {
		t.Run(typeToken, func(t *testing.T) {
			t.Parallel()
			assertInputs(t, provide(test.cfg, false).mustSucceed(t).One(t, typeToken, "cluster"), test.want)
		})
	}
}

// What mounts a ConfigMap or a Secret would be without it while it is replaced.
func TestKubernetesProvider_ChangesConfigMapsAndSecretsInPlace(t *testing.T) {
	t.Parallel()
	for _, cloud := range []Cloud{AKS, EKS, GKE} {
		assertInputs(t, provide(valid(cloud), false).mustSucceed(t).One(t, kubernetesType, "cluster"), map[string]any{
			"enableConfigMapMutable": "true", "enableSecretMutable": "true", "enableServerSideApply": "true",
		})
	}
}

// Google's default data path takes network policies and ignores them, and it cannot be changed on a running cluster.
func TestGKE_EnforcesNetworkPolicies(t *testing.T) {
	t.Parallel()
	control := provide(valid(GKE), false).mustSucceed(t).One(t, gkeType, "ha-iris-test")
	assertInputs(t, control, map[string]any{"datapathProvider": "ADVANCED_DATAPATH", "networkingMode": "VPC_NATIVE"})
}

func TestAnOpenAPIServer_IsWarnedOf(t *testing.T) {
	t.Parallel()
	const want = "pulumi config set --path 'cluster.apiServerSourceRanges[0]' "
	for _, cloud := range []Cloud{AKS, EKS, GKE} {
		for _, preview := range []bool{true, false} {
			cfg := valid(cloud)
			about := func() []string {
				return slices.DeleteFunc(provide(cfg, preview).mustSucceed(t).Warnings(), func(text string) bool {
					return !strings.Contains(text, "apiServerSourceRanges")
				})
			}
			if got := about(); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s, preview %t: warns %q, want %s", cloud, preview, got, want)
			}
			cfg.APIServerSourceRanges = []string{"203.0.113.0/24"}
			if got := about(); len(got) > 0 {
				t.Errorf("%s, preview %t, with source ranges: warns %q", cloud, preview, got)
			}
		}
	}
	if valid(Existing).creates() {
		t.Error("existing: its API server is not this program's")
	}
}
