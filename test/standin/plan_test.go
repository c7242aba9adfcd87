package standin

import (
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// The plans of a real provider for the changes that an operator makes.
const (
	same     = "same"
	update   = "update"
	replaced = "replace"
)

func verdict(plan *pulumirpc.DiffResponse) string {
	switch {
	case plan.GetChanges() == pulumirpc.DiffResponse_DIFF_NONE:
		return same
	case len(plan.GetReplaces()) > 0:
		return replaced
	default:
		return update
	}
}

type planned struct {
	name    string
	changes fields
	want    string
}

func checkPlans(t *testing.T, e *engine, m *managed, cases []planned) {
	t.Helper()
	for _, c := range cases {
		plan, _ := e.plan(m, c.changes)
		if got := verdict(plan); got != c.want {
			t.Errorf("%s %s: got %s, want %s (%v)", m.typ, c.name, got, c.want, plan.GetDetailedDiff())
		}
	}
}

func TestPlansOfEKS(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	reversed := s.subnetIDs()
	slices.Reverse(reversed)
	checkPlans(t, s.engine, s.cluster, []planned{
		{"nothing", nil, same},
		{"Kubernetes version", fields{"version": "1.35"}, update},
		{"version no longer given", fields{"version": nil}, same},
		{"order of subnets", fields{"vpcConfig.subnetIds": reversed}, same},
		{"subnets", fields{"vpcConfig.subnetIds": s.subnetIDs()[:2]}, update},
		{"who may reach it", fields{"vpcConfig.publicAccessCidrs": []any{"203.0.113.0/24"}}, update},
		{"authentication mode", fields{"accessConfig.authenticationMode": "API"}, update},
		{"creator's rights", fields{"accessConfig.bootstrapClusterCreatorAdminPermissions": false}, replaced},
		{"own add-ons", fields{"bootstrapSelfManagedAddons": true}, replaced},
		{"role", fields{"roleArn": "arn:aws:iam::1:role/other"}, replaced},
		{"name", fields{"name": "other"}, replaced},
		{"tags", fields{"tags.owner": "me"}, update},
	})
	checkPlans(t, s.engine, s.group, []planned{
		{"nothing", nil, same},
		{"node count", fields{"scalingConfig.desiredSize": 4.0}, update},
		{"template version", fields{"launchTemplate.version": "2"}, update},
		{"unknown template version", fields{"launchTemplate.version": unknown{}}, update},
		{"another template", fields{"launchTemplate.id": "lt-1"}, replaced},
		{"labels", fields{"labels.a": "b"}, update},
		{"version", fields{"version": "1.34"}, same},
		{"newer version", fields{"version": "1.35"}, update},
		{"instance types", fields{"instanceTypes": []any{"m6i.2xlarge"}}, replaced},
		{"disk size", fields{"diskSize": 100.0}, replaced},
		{"image", fields{"amiType": "AL2023_ARM_64_STANDARD"}, replaced},
		{"subnets", fields{"subnetIds": s.subnetIDs()[:2]}, replaced},
		{"role", fields{"nodeRoleArn": "arn:aws:iam::1:role/other"}, replaced},
	})
	checkPlans(t, s.engine, s.template, []planned{
		{"instance type", fields{"instanceType": "m6i.2xlarge"}, update},
		{"disk", fields{"blockDeviceMappings": []any{}}, update},
		{"name", fields{"name": "other"}, replaced},
	})
}

func TestPlansOfTheNetwork(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	checkPlans(t, s.engine, s.vpc, []planned{
		{"range", fields{"cidrBlock": "10.1.0.0/16"}, replaced},
		{"names in DNS", fields{"enableDnsHostnames": true}, update},
	})
	checkPlans(t, s.engine, s.subnets[0], []planned{
		{"zone", fields{"availabilityZone": "eu-west-1b"}, replaced},
		{"zone no longer given", fields{"availabilityZone": nil}, same},
		{"public addresses", fields{"mapPublicIpOnLaunch": false}, update},
	})
	checkPlans(t, s.engine, s.links[0], []planned{{"table", fields{"routeTableId": "rtb-1"}, update}})
	checkPlans(t, s.engine, s.clusterPolicy, []planned{{"policy", fields{"policyArn": "arn:aws:iam::aws:policy/X"}, replaced}})
}

func TestPlansOfGKE(t *testing.T) {
	t.Parallel()
	e := newGCP(t, Options{})
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	checkPlans(t, e, cluster, []planned{
		{"nothing", nil, same},
		{"Kubernetes version", fields{"minMasterVersion": "1.35"}, update},
		{"order of zones", fields{"nodeLocations": []any{"europe-west1-d", "europe-west1-b", "europe-west1-c"}}, same},
		{"deletion protection", fields{"deletionProtection": true}, update},
		{"channel", fields{"releaseChannel.channel": "REGULAR"}, update},
		{"network", fields{"network": "other"}, replaced},
		{"initial node count", fields{"initialNodeCount": 3.0}, replaced},
		{"location", fields{"location": "us-east1"}, replaced},
		{"data path", fields{"datapathProvider": "ADVANCED_DATAPATH"}, replaced},
		{"addresses of pods", fields{"ipAllocationPolicy.clusterIpv4CidrBlock": "/16"}, replaced},
	})
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster))
	checkPlans(t, e, pool, []planned{
		{"nothing", nil, same},
		{"node count", fields{"nodeCount": 2.0}, update},
		{"disk size", fields{"nodeConfig.diskSizeGb": 300.0}, update},
		{"machine type", fields{"nodeConfig.machineType": "e2-standard-8"}, update},
		{"initial node count", fields{"initialNodeCount": 3.0}, replaced},
		{"service account", fields{"nodeConfig.serviceAccount": "other@my-project.iam.gserviceaccount.com"}, replaced},
		{"scopes", fields{"nodeConfig.oauthScopes": []any{"https://www.googleapis.com/auth/cloud-platform"}}, replaced},
		{"secure boot", fields{"nodeConfig.shieldedInstanceConfig.enableSecureBoot": true}, replaced},
		{"version", fields{"version": "1.35"}, update},
	})
}

func TestPlansOfAKS(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	inputs := aksInputs(group)
	cluster := e.create(azureCluster, "cluster", inputs)
	pools := func(changes fields) fields {
		return fields{"agentPoolProfiles": withPool(inputs, changes).get("agentPoolProfiles")}
	}
	checkPlans(t, e, cluster, []planned{
		{"nothing", nil, same},
		{"Kubernetes version", fields{"kubernetesVersion": "1.35"}, update},
		{"node count", pools(fields{"count": 4.0}), update},
		// Azure refuses this one, but only when it is asked to do it.
		{"disk size", pools(fields{"osDiskSizeGB": 512.0}), update},
		{"prefix", fields{"dnsPrefix": "other"}, replaced},
		{"location", fields{"location": "eastus"}, replaced},
		{"network", fields{"networkProfile.loadBalancerSku": "standard"}, replaced},
		{"name", fields{"resourceName": "other"}, replaced},
		{"who may reach it", fields{"apiServerAccessProfile.authorizedIPRanges": []any{"203.0.113.0/24"}}, update},
	})
	checkPlans(t, e, group, []planned{
		{"location", fields{"location": "eastus"}, replaced},
		{"tags", fields{"tags.owner": "me"}, update},
	})
}

// Two things cannot have one name: only a replacement with a made-up name can be there before the old one is gone.
func TestAGivenName_IsDeletedBeforeItIsReplaced(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	named := s.create(awsNodeGroup, "named", s.groupInputs().with(fields{"nodeGroupName": "mine"}))
	azure, group := newAKS(t)
	madeUp := azure.create(azureCluster, "a", aksInputs(group))
	given := azure.create(azureCluster, "b", aksInputs(group).with(fields{"resourceName": "b"}))
	for _, c := range []struct {
		name    string
		e       *engine
		m       *managed
		changes fields
		first   bool
	}{
		{"made up, AWS", s.engine, s.group, fields{"diskSize": 100.0}, false},
		{"given, AWS", s.engine, named, fields{"diskSize": 100.0}, true},
		{"made up, Azure", azure, madeUp, fields{"dnsPrefix": "x"}, false},
		{"given, Azure", azure, given, fields{"dnsPrefix": "x"}, true},
	} {
		plan, _ := c.e.plan(c.m, c.changes)
		if verdict(plan) != replaced || plan.GetDeleteBeforeReplace() != c.first {
			t.Errorf("%s: got %s, first %v, want a replacement, first %v", c.name, verdict(plan),
				plan.GetDeleteBeforeReplace(), c.first)
		}
	}
}

func TestNames_AreMadeUpOnceAndAnewForAReplacement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e    *engine
		typ  string
		key  string
		want string
		in   fields
	}{
		{newAWS(t, Options{}), awsRole, "name", "role-", fields{"assumeRolePolicy": "{}"}},
		{newAzure(t, Options{}), azureGroup, "resourceGroupName", "role", fields{}},
	} {
		first, err := c.e.check(c.typ, "role", nil, c.in)
		c.e.must(err)
		name := toFields(first).str(c.key)
		if !strings.HasPrefix(name, c.want) || len(name) <= len(c.want) {
			t.Errorf("%s: got the name %q, want %q and a suffix", c.typ, name, c.want)
		}
		again, err := c.e.check(c.typ, "role", first, c.in)
		c.e.must(err)
		if got := toFields(again).str(c.key); got != name {
			t.Errorf("%s: at the next check, got the name %q, want %q", c.typ, got, name)
		}
		other, err := c.e.check(c.typ, "role", resource.PropertyMap{}, c.in)
		c.e.must(err)
		if got := toFields(other).str(c.key); got == name {
			t.Errorf("%s: for a replacement, got the same name %q", c.typ, got)
		}
	}
}

func (e *engine) previewOfCreate(typ, name string, inputs fields) fields {
	e.t.Helper()
	checked, err := e.check(typ, name, nil, inputs)
	e.must(err)
	properties, err := marshal(checked)
	e.must(err)
	response, err := e.client.Create(e.t.Context(), &pulumirpc.CreateRequest{
		Urn: urnOf(typ, name), Properties: properties, Preview: true,
	})
	e.must(err)
	outputs, err := unmarshal(response.GetProperties())
	e.must(err)
	return toFields(outputs)
}

func (e *engine) previewOfUpdate(m *managed, changes fields) fields {
	e.t.Helper()
	_, checked := e.plan(m, changes)
	request := &pulumirpc.UpdateRequest{Id: m.id, Urn: urnOf(m.typ, m.name), Preview: true}
	var err error
	request.OldInputs, err = marshal(m.inputs)
	e.must(err)
	request.Olds, err = marshal(m.outputs)
	e.must(err)
	request.News, err = marshal(checked)
	e.must(err)
	response, err := e.client.Update(e.t.Context(), request)
	e.must(err)
	outputs, err := unmarshal(response.GetProperties())
	e.must(err)
	return toFields(outputs)
}

func checkKnown(t *testing.T, what string, outputs fields, known, unknowns []string) {
	t.Helper()
	for _, path := range known {
		if value := outputs.get(path); value == nil || value == any(unknown{}) {
			t.Errorf("%s: %s is %v, want a value", what, path, value)
		}
	}
	for _, path := range unknowns {
		if value := outputs.get(path); value != any(unknown{}) {
			t.Errorf("%s: %s is %v, want unknown", what, path, value)
		}
	}
}

func TestPreviews_CreateNothingAndKnowOnlyInputs(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	s.clouds.ForgetJournal()
	before := len(s.clouds.Resources())
	checkKnown(t, "EKS", s.previewOfCreate(awsCluster, "other", s.clusterInputs()),
		[]string{"name", "version", "vpcConfig.subnetIds"},
		[]string{"arn", "endpoint", "certificateAuthority", "vpcConfig.vpcId", "accessConfig.authenticationMode"})
	checkKnown(t, "node group", s.previewOfCreate(awsNodeGroup, "other", s.groupInputs()),
		[]string{"nodeGroupName"}, []string{"arn", "version", "releaseVersion", "instanceTypes"})
	if got := len(s.clouds.Resources()); got != before {
		t.Errorf("got %d resources after previews, want %d", got, before)
	}
	for _, entry := range s.clouds.Journal() {
		if !entry.Preview {
			t.Errorf("the journal has %s of %s as if it had happened", entry.Op, entry.Type)
		}
	}
	gcp := newGCP(t, Options{})
	checkKnown(t, "GKE", gcp.previewOfCreate(gcpCluster, "c", gkeInputs()),
		[]string{"name", "location"}, []string{"endpoint", "masterAuth", "selfLink", "masterVersion"})
	azure, group := newAKS(t)
	// azure-native repeats no parameter of a URL: the name is unknown although it is decided.
	checkKnown(t, "AKS", azure.previewOfCreate(azureCluster, "c", aksInputs(group)),
		[]string{"kubernetesVersion", "dnsPrefix"}, []string{"name", "fqdn", "nodeResourceGroup", "resourceUID"})
}

func TestPreviewsOfUpdates_KnowWhatStays(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	checkKnown(t, "EKS", s.previewOfUpdate(s.cluster, fields{"version": "1.35"}),
		[]string{"endpoint", "arn", "name", "certificateAuthority.data"}, []string{"platformVersion"})
	checkKnown(t, "template", s.previewOfUpdate(s.template, fields{"instanceType": "m6i.2xlarge"}),
		[]string{"arn"}, []string{"latestVersion", "defaultVersion"})
	checkKnown(t, "template's tags", s.previewOfUpdate(s.template, fields{"tags.a": "b"}),
		[]string{"latestVersion"}, nil)
	gcp := newGCP(t, Options{})
	google := gcp.create(gcpCluster, "cluster", gkeInputs())
	checkKnown(t, "GKE", gcp.previewOfUpdate(google, fields{"minMasterVersion": "1.35"}),
		[]string{"endpoint", "masterAuth.clusterCaCertificate", "selfLink"}, []string{"masterVersion"})
	azure, group := newAKS(t)
	cluster := azure.create(azureCluster, "cluster", aksInputs(group))
	checkKnown(t, "AKS", azure.previewOfUpdate(cluster, fields{"kubernetesVersion": "1.35"}),
		[]string{"name", "location"}, []string{"fqdn", "resourceUID", "nodeResourceGroup", "currentKubernetesVersion"})
}
