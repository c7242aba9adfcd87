package standin

import (
	"strings"
	"testing"
)

func TestAIZonesTakeNoOrdinaryMachines(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	central := gkeInputs().with(fields{"location": "us-central1", "nodeLocations": []any{"us-central1-a", "us-central1-b"}})
	cluster := e.create(gcpCluster, "cluster", central)
	ai := fields{"nodeLocations": []any{"us-central1-ai1a"}}
	const want = `in zone "us-central1-ai1a": GCE_NOT_FOUND`
	_, err := e.try(gcpNodePool, "pool", poolInputs(cluster).with(ai))
	refused(t, err, `Invalid machine type "e2-standard-4" `+want)
	e.create(gcpNodePool, "accelerated", poolInputs(cluster).with(ai).with(fields{"nodeConfig.machineType": "a3-highgpu-8g"}))
	_, err = e.try(gcpCluster, "other", central.with(ai))
	refused(t, err, `Invalid machine type "e2-medium" `+want)
	pool := e.create(gcpNodePool, "moved", poolInputs(cluster))
	refused(t, e.update(pool, ai), want)
}

func TestAKSNamesAndRanges_AreRefusedAsByAzure(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	const nodes = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/virtualNetworks/z/subnets/nodes"
	e.must(e.clouds.Add(azureSubnet, nodes, map[string]any{"addressPrefix": "10.20.0.0/16"}))
	inputs := withPool(aksInputs(group), fields{"vnetSubnetID": nodes})
	long := strings.Repeat("x", 55)
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"node group's name": {fields{"resourceName": long}, "The length of the node resource group name is too long. The maximum length is 80 and the length of the value provided is 83."},
		"given name":        {fields{"nodeResourceGroup": strings.Repeat("x", 81)}, "the length of the value provided is 81"},
		"services on nodes": {
			fields{"networkProfile.serviceCidr": "10.20.8.0/24", "networkProfile.dnsServiceIP": "10.20.8.10"},
			"(ServiceCidrOverlapExistingSubnetsCidr)The specified service CIDR 10.20.8.0/24 is conflicted with an existing subnet CIDR 10.20.0.0/16",
		},
		"pods on nodes": {fields{"networkProfile.podCidr": "10.20.0.0/14"}, "NetworkProfile CIDR 10.20.0.0/14 overlaps with reserved VNET CIDR 10.20.0.0/16"},
		"services on pods": {
			fields{"networkProfile.serviceCidr": "10.244.8.0/24", "networkProfile.dnsServiceIP": "10.244.8.10"},
			"is conflicted with the pod CIDR 10.244.0.0/16",
		},
		"DNS by default": {fields{"networkProfile.serviceCidr": "10.30.0.0/16"}, "DnsServiceIpOutOfServiceCidr"},
		"first address":  {fields{"networkProfile.dnsServiceIP": "10.0.0.1"}, "DnsServiceIpOutOfServiceCidr"},
		"no range":       {fields{"networkProfile.serviceCidr": "x"}, "InvalidServiceCidr"},
	} {
		_, err := e.try(azureCluster, "x-"+name[:1], inputs.with(c.changes))
		for _, part := range strings.Split(c.want, ")") {
			if part = strings.TrimPrefix(part, "("); err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want an error with %q", name, err, part)
			}
		}
	}
	e.must(e.clouds.Add(azureSubnet, nodes+"2", map[string]any{"addressPrefixes": []any{"10.0.4.0/24"}}))
	_, err := e.try(azureCluster, "defaults", withPool(aksInputs(group).with(fields{"networkProfile": nil}), fields{"vnetSubnetID": nodes + "2"}))
	refused(t, err, "The specified service CIDR 10.0.0.0/16 is conflicted with an existing subnet CIDR 10.0.4.0/24")
	e.create(azureCluster, "short", inputs.with(fields{"resourceName": long, "nodeResourceGroup": "nodes"}))
}

const contributor = "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7"

// A cluster in a given subnet comes to be, and then neither scales nor gets load balancers without the role.
func TestAKS_NeedsARoleOnAGivenSubnet(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	const network = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/virtualNetworks/z"
	e.must(e.clouds.Add(azureSubnet, network+"/subnets/nodes", map[string]any{"addressPrefix": "10.20.0.0/16"}))
	inputs := withPool(aksInputs(group), fields{"vnetSubnetID": network + "/subnets/nodes"})
	cluster := e.create(azureCluster, "cluster", inputs)
	more := fields{"agentPoolProfiles": withPool(inputs, fields{"count": 4.0, "maxCount": 4.0}).get("agentPoolProfiles")}
	refused(t, e.update(cluster, more), "LinkedAuthorizationFailed")
	refused(t, e.clouds.LoadBalancerError(), "does not have authorization to perform action 'Microsoft.Network/virtualNetworks/subnets/read'")
	role := fields{
		"principalId": cluster.out().str("identity.principalId"), "principalType": "ServicePrincipal", "scope": network,
		"roleDefinitionId": contributor,
	}
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"name":      {fields{"roleAssignmentName": "x"}, "must be a GUID"},
		"role":      {fields{"roleDefinitionId": "Network Contributor"}, "InvalidRoleDefinitionId"},
		"principal": {fields{"principalId": "me"}, "A valid principal ID"},
		"scope":     {fields{"scope": "x"}, "did not have a subscription"},
		"type":      {fields{"principalType": nil}, "PrincipalNotFound"},
	} {
		if _, err := e.try(azureRole, name, role.with(c.changes)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	elsewhere := e.create(azureRole, "elsewhere", role.with(fields{"scope": network + "x"}))
	refused(t, e.update(cluster, more), "LinkedAuthorizationFailed")
	refused(t, e.update(elsewhere, fields{"roleDefinitionId": contributor[:len(contributor)-1] + "0"}), "RoleAssignmentUpdateNotPermitted")
	made := e.create(azureRole, "role", role)
	_, err := e.try(azureRole, "again", role)
	refused(t, err, "RoleAssignmentExists")
	e.must(e.update(cluster, more))
	e.must(e.clouds.LoadBalancerError())
	e.must(e.remove(made))
	if e.clouds.LoadBalancerError() == nil {
		t.Error("the cluster keeps a role that was taken away")
	}
	// Somebody else may have given it.
	e.must(e.clouds.Add(azureRole, "foreign", map[string]any{
		"scope": network + "/subnets/nodes", "principalId": cluster.out().str("identity.principalId"), "roleDefinitionId": contributor,
	}))
	e.must(e.clouds.LoadBalancerError())
}

func TestQuotas_AreRefusedAsByAWS(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{Quotas: Quotas{VCPUs: 16}})
	s.group = s.create(awsNodeGroup, "group", s.groupInputs()) // 12 cores.
	const want = "VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit of 16 allows"
	refused(t, s.update(s.group, fields{"scalingConfig.desiredSize": 5.0, "scalingConfig.maxSize": 5.0}), want)
	refused(t, s.update(s.group, s.next()), want) // The surge is on top.
	_, err := s.try(awsNodeGroup, "other", s.groupInputs())
	refused(t, err, want)
	if got := s.clouds.Resources(awsNodeGroup); len(got) != 2 {
		t.Errorf("got %d node groups, want the failed one to exist too", len(got))
	}
}

func TestQuotas_AreRefusedAsByGoogle(t *testing.T) {
	t.Parallel()
	// The default pool alone takes 100 GB in each of three zones.
	tight := newGCP(t, Options{Quotas: Quotas{SSDTotalGB: 250}})
	_, err := tight.try(gcpCluster, "cluster", gkeInputs())
	refused(t, err, `Error 403: Insufficient regional quota to satisfy request: resource "SSD_TOTAL_GB": request requires '300.0' and is short '50.0'. project has a quota of '250.0' with '250.0' available.`)
	tight.create(gcpCluster, "slow", gkeInputs().with(fields{"nodeConfig": map[string]any{"diskType": "pd-standard", "diskSizeGb": 30.0}}))

	e := newGCP(t, Options{Quotas: Quotas{SSDTotalGB: 1000, VCPUs: 100}})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster)) // 768 GB.
	_, err = e.try(gcpNodePool, "other", poolInputs(cluster))
	refused(t, err, "request requires '768.0' and is short '536.0'")
	refused(t, e.update(pool, fields{"nodeConfig.diskSizeGb": 300.0}), "request requires '1200.0'") // With a fourth node for the roll.
	e.must(e.update(pool, fields{"nodeConfig.labels": map[string]any{"a": "b"}}))
	_, err = e.try(gcpNodePool, "cores", poolInputs(cluster).with(fields{"nodeConfig.diskType": "pd-standard", "nodeConfig.machineType": "e2-standard-32"}))
	refused(t, err, `resource "CPUS"`)
}

func TestQuotas_AreRefusedAsByAzure(t *testing.T) {
	t.Parallel()
	e, group, cluster, pools := newAKSWith(t, Options{Quotas: Quotas{VCPUs: 14, Families: map[string]int{"standardDASv5Family": 10}}}, "1")
	_, err := e.try(azurePool, "family", aksPoolInputs(group, cluster, "2"))
	refused(t, err, "Insufficient vcpu quota requested 4, remaining 2 for family standardDASv5Family for region westeurope.")
	other := aksPoolInputs(group, cluster, "2").with(fields{"vmSize": "Standard_E8s_v5"})
	_, err = e.try(azurePool, "region", other)
	refused(t, err, "Insufficient regional vcpu quota left for location westeurope. left regional vcpu quota 6, requested quota 8.")
	refused(t, e.update(pools[0], fields{"count": 2.0}), "requested 8, remaining 6")
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	refused(t, e.update(pools[0], fields{"orchestratorVersion": "1.35"}), "Surge nodes would also consume vcpu quota.")
}

// A zone without machines: the pool exists and is not in order.
func TestAZone_CanRunOutOfMachines(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	s.clouds.RunOut("eu-west-1b", "m6i.xlarge", true)
	_, err := s.try(awsNodeGroup, "group", s.groupInputs())
	refused(t, err, "InsufficientInstanceCapacity - We currently do not have sufficient m6i.xlarge capacity in the Availability Zone you requested (eu-west-1b).")
	s.create(awsNodeGroup, "elsewhere", s.groupInputs().with(fields{"subnetIds": []any{s.subnets[0].id}}))

	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster))
	e.clouds.RunOut("europe-west1-c", "e2-standard-4", true)
	const stockout = "[ZONE_RESOURCE_POOL_EXHAUSTED]: The zone 'projects/my-project/zones/europe-west1-c' does not have enough resources"
	_, err = e.try(gcpNodePool, "other", poolInputs(cluster))
	refused(t, err, stockout)
	refused(t, e.update(pool, fields{"nodeConfig.diskSizeGb": 300.0}), stockout)
	e.clouds.RunOut("europe-west1-c", "e2-standard-4", false)
	e.must(e.update(pool, fields{"nodeConfig.diskSizeGb": 310.0}))

	a, group, aks, _ := newAKSWith(t, Options{})
	a.clouds.RunOut("westeurope-2", "Standard_D4as_v5", true)
	_, err = a.try(azurePool, "pool", aksPoolInputs(group, aks, "2"))
	refused(t, err, "ZonalAllocationFailed")
	a.create(azurePool, "elsewhere", aksPoolInputs(group, aks, "3"))
}

func TestMachineTypes_SayHowLargeTheyAre(t *testing.T) {
	t.Parallel()
	for instance, want := range map[string]size{
		"m6i.xlarge": {4, 16}, "m6i.2xlarge": {8, 32}, "r6i.xlarge": {4, 32}, "c6i.4xlarge": {16, 32}, "t3.medium": {2, 8},
		"e2-standard-4": {4, 16}, "n2-highmem-8": {8, 64}, "c3-highcpu-8": {8, 8}, "e2-medium": {2, 4}, "c3-standard-4-lssd": {4, 16},
		"Standard_D4as_v5": {4, 16}, "Standard_E8s_v5": {8, 64}, "Standard_F4s_v2": {4, 8},
	} {
		if got := sizeOf(instance); got != want {
			t.Errorf("%s: got %v, want %v", instance, got, want)
		}
	}
	if got := azureFamily("Standard_D4as_v5"); got != "standardDASv5Family" {
		t.Errorf("got %s", got)
	}
}
