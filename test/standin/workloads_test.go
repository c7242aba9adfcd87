package standin

import (
	"strings"
	"testing"
)

func TestPods_GetRolesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	issuer := s.cluster.out().objects("identities")[0].objects("oidcs")[0].str("issuer")
	oidc := fields{"url": issuer, "clientIdLists": []any{"sts.amazonaws.com"}}
	_, err := s.try(awsOIDC, "x", oidc.with(fields{"url": "http://x"}))
	refused(t, err, "https")
	_, err = s.try(awsOIDC, "x", oidc.with(fields{"thumbprintLists": []any{"x"}}))
	refused(t, err, "expected length of thumbprint_list.0")
	provider := s.create(awsOIDC, "oidc", oidc)
	if want := "arn:aws:iam::123456789012:oidc-provider/" + strings.TrimPrefix(issuer, "https://"); provider.out().str("arn") != want {
		t.Errorf("got %s, want %s", provider.out().str("arn"), want)
	}
	_, err = s.try(awsOIDC, "again", oidc)
	refused(t, err, "EntityAlreadyExists")

	role := s.create(awsRole, "pods", fields{"assumeRolePolicy": trust("pods.eks.amazonaws.com")})
	link := fields{
		"clusterName": s.cluster.id, "namespace": "longhorn-system", "serviceAccount": "longhorn", "roleArn": role.out().str("arn"),
	}
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"cluster": {fields{"clusterName": "no"}, "No cluster found for name: no"},
		"role":    {fields{"roleArn": "arn:aws:iam::1:role/no"}, "Role provided in the request does not exist"},
		"trust":   {fields{"roleArn": s.nodeRole.out().str("arn")}, "pods.eks.amazonaws.com"},
	} {
		_, err := s.try(awsPodIdentity, name, link.with(c.changes))
		refused(t, err, c.want)
	}
	association := s.create(awsPodIdentity, "association", link)
	_, err = s.try(awsPodIdentity, "again", link)
	refused(t, err, "Association already exists: "+association.id)
	refused(t, s.update(association, fields{"roleArn": s.nodeRole.out().str("arn")}), "pods.eks.amazonaws.com")
	plan, _ := s.plan(association, fields{"namespace": "other"})
	if got := verdict(plan); !strings.Contains(got, "replace") {
		t.Errorf("got %s, want a replacement", got)
	}
	s.must(s.remove(s.cni))
	s.must(s.remove(s.cluster))
	if s.read(association) != nil {
		t.Error("the association outlived its cluster")
	}
}

func TestEKS_KeepsLogsOfTheTypesThereAre(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	_, err := s.try(awsCluster, "x", s.clusterInputs().with(fields{"enabledClusterLogTypes": []any{"api", "kubelet"}}))
	refused(t, err, "expected enabled_cluster_log_types.1 to be one of")
	s.must(s.update(s.cluster, fields{"enabledClusterLogTypes": []any{"audit", "controllerManager"}}))
}

func TestNodesWithoutAddresses_GetOutByNAT(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	e.must(e.clouds.Add(gcpNetwork, "n", map[string]any{"name": "mine"}))
	_, err := e.try(gcpRouter, "x", fields{"network": "no"})
	refused(t, err, `Network "no" not found`)
	_, err = e.try(gcpRouter, "x", fields{"network": "mine", "region": "nowhere"})
	refused(t, err, "was not found")
	router := e.create(gcpRouter, "router", fields{"network": "mine"})
	if got := router.out().str("region"); got != "europe-west1" {
		t.Errorf("got region %q, want the provider's", got)
	}
	nat := fields{
		"router": router.out().str("name"), "natIpAllocateOption": "AUTO_ONLY", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
	}
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"router":     {fields{"router": "no"}, "was not found"},
		"ranges":     {fields{"sourceSubnetworkIpRangesToNat": "ALL"}, "expected sourceSubnetworkIpRangesToNat to be one of"},
		"addresses":  {fields{"natIpAllocateOption": "MANUAL_ONLY"}, "natIps"},
		"no option":  {fields{"natIpAllocateOption": nil}, "natIpAllocateOption"},
		"no subnets": {fields{"sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS"}, "subnetworks"},
	} {
		_, err := e.try(gcpRouterNat, "x", nat.with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	made := e.create(gcpRouterNat, "nat", nat)
	e.must(e.update(made, fields{"minPortsPerVm": 64.0}))
	other := e.create(gcpRouter, "other", fields{"network": "mine"})
	_, err = e.try(gcpRouterNat, "other", nat.with(fields{"router": other.out().str("name")}))
	refused(t, err, "for all subnetworks already")
	e.must(e.remove(router))
	if e.read(made) != nil {
		t.Error("the NAT outlived its router")
	}
}

func TestPrivateGKEClusters_AreRefusedAsByGoogle(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	e.must(e.clouds.Add(gcpNetwork, "n", map[string]any{"name": "mine"}))
	e.must(e.clouds.Add(gcpSubnetwork, "s", map[string]any{"name": "nodes", "secondaryIpRanges": []any{
		map[string]any{"rangeName": "pods"}, map[string]any{"rangeName": "services"},
	}}))
	inputs := gkeInputs().with(fields{
		"network": "mine", "subnetwork": "nodes", "privateClusterConfig": map[string]any{"enablePrivateNodes": true},
		"ipAllocationPolicy": map[string]any{"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services"},
	})
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"no such range":    {fields{"ipAllocationPolicy.clusterSecondaryRangeName": "no"}, `Pod secondary range "no" does not exist in network "mine", subnetwork "nodes"`},
		"service range":    {fields{"ipAllocationPolicy.servicesSecondaryRangeName": "no"}, `Services secondary range "no"`},
		"range twice":      {fields{"ipAllocationPolicy.clusterIpv4CidrBlock": "/14"}, "conflicts with ip_allocation_policy.0.clusterIpv4CidrBlock"},
		"master's size":    {fields{"privateClusterConfig.masterIpv4CidrBlock": "10.0.0.0/24"}, "between 28 and 28 significant bits"},
		"master by itself": {fields{"privateClusterConfig": map[string]any{"masterIpv4CidrBlock": "10.0.0.0/28", "enablePrivateNodes": false}}, "can only be set if enable_private_nodes is true"},
		"closed to all":    {fields{"privateClusterConfig.enablePrivateEndpoint": true}, "Master authorized networks must be enabled"},
	} {
		_, err := e.try(gcpCluster, "x", inputs.with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	e.create(gcpCluster, "cluster", inputs.with(fields{"privateClusterConfig.masterIpv4CidrBlock": "10.0.0.0/28"}))
}

func TestAKSIdentities_AreRefusedAsByAzure(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	inputs := aksInputs(group).with(fields{
		"oidcIssuerProfile": map[string]any{"enabled": true}, "aadProfile": map[string]any{"managed": true},
		"securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": true}},
	})
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"no issuer":        {fields{"oidcIssuerProfile": nil}, "Enabling workload identity requires enabling OIDC issuer"},
		"legacy":           {fields{"aadProfile": map[string]any{"clientAppID": "x"}}, "aadProfile.managed must be true"},
		"group":            {fields{"aadProfile.adminGroupObjectIDs": []any{"admins"}}, "is not an object id"},
		"no local account": {fields{"aadProfile": nil, "disableLocalAccounts": true}, "Local accounts can only be disabled"},
		"RBAC":             {fields{"aadProfile.enableAzureRBAC": true, "enableRBAC": false}, "needs enableRBAC"},
	} {
		_, err := e.try(azureCluster, "x", inputs.with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	cluster := e.create(azureCluster, "cluster", inputs)
	url := cluster.out().str("oidcIssuerProfile.issuerURL")
	if !strings.HasPrefix(url, "https://westeurope.oic.prod-aks.azure.com/") {
		t.Errorf("got issuer %q", url)
	}
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	if got := cluster.out().str("oidcIssuerProfile.issuerURL"); got != url {
		t.Errorf("the issuer changed from %s to %s", url, got)
	}
	refused(t, e.update(cluster, fields{"oidcIssuerProfile": nil, "securityProfile": nil}), "OIDC issuer feature cannot be disabled")
	refused(t, e.update(cluster, fields{"aadProfile": nil}), "cannot be disabled")
}
