package cluster

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
)

func TestAKS_DecidesAtOnceWhatCannotBeChanged(t *testing.T) {
	t.Parallel()
	cluster := provide(valid(AKS), false).mustSucceed(t).One(t, aksType, "ha-iris-test")
	assertInputs(t, cluster, map[string]any{
		"networkProfile.networkPluginMode": "overlay", "networkProfile.networkDataplane": "cilium", "networkProfile.networkPolicy": "cilium",
		"networkProfile.serviceCidr": "172.16.0.0/16", "networkProfile.dnsServiceIP": "172.16.0.10",
		"oidcIssuerProfile.enabled": true, "securityProfile.workloadIdentity.enabled": true,
	})
	if cluster.Inputs.HasValue("aadProfile") {
		t.Error("a directory is asked for although no group is given")
	}
}

func TestAKSServiceCIDR_DecidesTheDNSServersAddress(t *testing.T) {
	t.Parallel()
	cfg := valid(AKS)
	cfg.ServiceCIDR = "192.168.255.0/24"
	cluster := provide(cfg, false).mustSucceed(t).One(t, aksType, "ha-iris-test")
	assertInputs(t, cluster, map[string]any{
		"networkProfile.serviceCidr": "192.168.255.0/24", "networkProfile.dnsServiceIP": "192.168.255.10",
	})
}

func TestAKSGroupsOfTheDirectory_BecomeAdministratorsBesideTheLocalAccount(t *testing.T) {
	t.Parallel()
	cfg := valid(AKS)
	cfg.AADAdminGroups = []string{"0000000a-0000-0000-0000-000000000001"}
	assertInputs(t, provide(cfg, false).mustSucceed(t).One(t, aksType, "ha-iris-test"), map[string]any{
		"aadProfile.managed": true, "aadProfile.enableAzureRBAC": false, "disableLocalAccounts": false,
		"aadProfile.adminGroupObjectIDs": []any{cfg.AADAdminGroups[0]},
	})
}

// Azure's own name would have 87 characters for the longest name in germanywestcentral.
func TestAKSNodeResourceGroup_HasANameThatAzureAccepts(t *testing.T) {
	t.Parallel()
	cfg := valid(AKS)
	cfg.Name, cfg.Region = strings.Repeat("n", maxNameLength), "germanywestcentral"
	group := at(t, provide(cfg, false).mustSucceed(t).One(t, aksType, cfg.Name), "nodeResourceGroup").StringValue()
	const most = 80 // AKS FAQ, "Can I provide my own name for the AKS node resource group?"
	if len(group) > most-len("-1a2b3c4d") || !strings.HasPrefix(group, cfg.Name+"-1a2b3c4-nodes-") {
		t.Errorf("got %s, %d characters", group, len(group))
	}
	a, other := &aks{scope{cfg: cfg}}, &aks{scope{cfg: cfg}}
	other.cfg.ServiceCIDR = "172.20.0.0/16"
	if a.nodeResourceGroup("g") == other.nodeResourceGroup("g") {
		t.Error("a cluster that replaces this one would find the group taken")
	}
}

func TestAKSIdentity_MayUseTheSubnetBeforeThePoolsAreMade(t *testing.T) {
	t.Parallel()
	cfg := valid(AKS)
	cfg.SubnetIDs = []string{aksSubnet}
	r := provide(cfg, false).mustSucceed(t)
	grant := r.One(t, roleAssignmentType, "ha-iris-test-subnet")
	assertInputs(t, grant, map[string]any{
		"scope": aksSubnet, "principalId": "00000000-0000-0000-0000-00000000000a", "principalType": "ServicePrincipal",
		"roleDefinitionId": "/subscriptions/0/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7",
	})
	name := grant.Inputs["roleAssignmentName"].StringValue()
	if !azureObjectID().MatchString(name) || name != guidOf(strings.ToLower(aksSubnet)+"/ha-iris-test-1a2b3c4") {
		t.Errorf("name %s", name)
	}
	assertAfter(t, r.One(t, agentPoolType, "ha-iris-test-nodes-1"), "RoleAssignment::ha-iris-test-subnet")
	cfg.GrantSubnetAccess = false
	if left := provide(cfg, false).mustSucceed(t).Find(roleAssignmentType); len(left) > 0 {
		t.Errorf("granted although it must not: %v", left)
	}
	if own := provide(valid(AKS), false).mustSucceed(t).Find(roleAssignmentType); len(own) > 0 {
		t.Errorf("granted on a network of Azure's: %v", own)
	}
}

func TestGuidOf_IsStableAndDistinct(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	one, two := guidOf("a"), guidOf("b")
	if !form.MatchString(one) || one != guidOf("a") || one == two {
		t.Errorf("got %s, %s", one, two)
	}
}

// onNetwork provides a cluster in a subnet of a network that Azure describes so.
func onNetwork(change func(*Config), answer map[string]any, failure error) result {
	cfg := valid(AKS)
	cfg.SubnetIDs = []string{aksSubnet}
	change(&cfg)
	r := result{Recorder: &testkit.Recorder{Outputs: computed, Invoke: func(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
		if args.Token != "azure-native:network:getVirtualNetwork" {
			return invoke(args)
		}
		if args.Args["resourceGroupName"].StringValue() != "net" || args.Args["virtualNetworkName"].StringValue() != "prod" {
			return nil, errors.New("another network")
		}
		return resource.NewPropertyMapFromMap(answer), failure
	}}}
	r.err = r.Run(func(ctx *pulumi.Context) error {
		_, err := New(ctx, "cluster", &Args{Config: cfg})
		return err
	}, testkit.Options{})
	return r
}

func TestAKSNetworks_MustNotOverlapWithThatOfTheSubnet(t *testing.T) {
	t.Parallel()
	space := func(prefixes ...any) map[string]any { return map[string]any{"addressPrefixes": prefixes} }
	for name, test := range map[string]struct {
		answer map[string]any
		want   string
	}{
		"network": {
			map[string]any{"addressSpace": space("10.0.0.0/16", "172.16.128.0/17")},
			`cluster.serviceCidr: got "172.16.0.0/16", want a network that does not overlap with 172.16.128.0/17`,
		},
		"peered network": {
			map[string]any{"addressSpace": space("10.0.0.0/16"), "virtualNetworkPeerings": []any{
				map[string]any{"remoteAddressSpace": space("172.16.0.0/12")},
			}},
			`cluster.serviceCidr: got "172.16.0.0/16", want a network that does not overlap with 172.16.0.0/12`,
		},
		"subnet and pods": {
			map[string]any{"addressSpace": space("10.0.0.0/8"), "subnets": []any{
				map[string]any{"name": "others", "addressPrefix": "10.1.0.0/24"},
				map[string]any{"name": "Nodes", "addressPrefixes": []any{"10.244.7.0/24"}},
			}},
			`want a subnet that does not overlap with the pods' network 10.244.0.0/16; this one is 10.244.7.0/24`,
		},
		"none": {map[string]any{"addressSpace": space("10.0.0.0/8"), "subnets": []any{
			map[string]any{"name": "nodes", "addressPrefix": "10.1.0.0/24"},
			map[string]any{"name": "others", "addressPrefix": "10.244.7.0/24"},
		}}, ""},
	} {
		r := onNetwork(func(*Config) {}, test.answer, nil)
		if test.want == "" {
			if r.err != nil {
				t.Errorf("%s: %v", name, r.err)
			}
			continue
		}
		if r.err == nil || !strings.Contains(r.err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, r.err, test.want)
		}
		if slices.ContainsFunc(r.Registrations(), func(one testkit.Registration) bool { return one.Custom && !one.IsProvider() }) {
			t.Errorf("%s: created something", name)
		}
	}
}

func TestAKSNetworkThatAzureDoesNotShow_IsNoObstacle(t *testing.T) {
	t.Parallel()
	r := onNetwork(func(*Config) {}, nil, errors.New("AuthorizationFailed")).mustSucceed(t)
	r.One(t, aksType, "ha-iris-test")
}
