package standin

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func TestEKSClusters_AreRefusedAsByAWS(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	stranger := s.create(awsRole, "stranger", fields{"assumeRolePolicy": trust("ec2.amazonaws.com")})
	bare := s.create(awsRole, "bare", fields{"assumeRolePolicy": trust("eks.amazonaws.com")})
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"no role":              {fields{"roleArn": nil}, "missing required property 'roleArn'"},
		"unknown input":        {fields{"colour": "red"}, "unsupported property 'colour'"},
		"bad name":             {fields{"name": "a b"}, "invalid value for name"},
		"bad mode":             {fields{"accessConfig.authenticationMode": "X"}, "expected accessConfig.authenticationMode"},
		"name taken":           {fields{"name": s.cluster.id}, "Cluster already exists with name"},
		"role does not exist":  {fields{"roleArn": "arn:aws:iam::1:role/no"}, "does not exist"},
		"role of another":      {fields{"roleArn": stranger.out().str("arn")}, "trusted entity is not correct"},
		"role without policy":  {fields{"roleArn": bare.out().str("arn")}, "AmazonEKSClusterPolicy"},
		"one zone":             {fields{"vpcConfig.subnetIds": s.subnetIDs()[:1]}, "at least two different AZs"},
		"no such subnet":       {fields{"vpcConfig.subnetIds": []any{"subnet-1"}}, "The subnet ID 'subnet-1' does not exist"},
		"version out of range": {fields{"version": "1.20"}, "unsupported Kubernetes version 1.20"},
	} {
		_, err := s.try(awsCluster, "x", s.clusterInputs().with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestEKS_RefusesAZoneWithoutControlPlanes(t *testing.T) {
	t.Parallel()
	clouds := start(t, Options{Packages: []string{AWS}})
	s := &awsStack{engine: connect(t, clouds, AWS, fields{"region": "us-east-1"})}
	s.identity()
	for _, zone := range [][2]string{{"us-east-1a", "use1-az6"}, {"us-east-1e", "use1-az3"}} {
		s.must(clouds.Add(awsSubnet, "subnet-"+zone[0], map[string]any{
			"vpcId": "vpc-1", "availabilityZone": zone[0], "availabilityZoneId": zone[1],
		}))
	}
	_, err := s.try(awsCluster, "c", s.clusterInputs().with(fields{
		"vpcConfig.subnetIds": []any{"subnet-us-east-1a", "subnet-us-east-1e"},
	}))
	refused(t, err, "UnsupportedAvailabilityZoneException")
}

func TestEKS_UpgradesOneMinorVersionAtATime(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	refused(t, s.update(s.cluster, fields{"version": "1.36"}), "minor version update from 1.34 to 1.36")
	refused(t, s.update(s.cluster, fields{"version": "1.33"}), "minor version update from 1.34 to 1.33")
	s.must(s.update(s.cluster, fields{"version": "1.35"}))
	refused(t, s.update(s.cluster, fields{"vpcConfig.subnetIds": s.subnetIDs()[:2]}), "exact set of AZs")
}

func TestNodeGroups_AreRefusedAsByAWS(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	plain := s.create(awsLaunchTemplate, "plain", s.templateInputs().with(fields{"userData": encoded("#!/bin/sh\n")}))
	zipped := s.create(awsLaunchTemplate, "zipped", s.templateInputs().with(fields{"userData": encoded("\x1f\x8b\x08")}))
	arm := s.create(awsLaunchTemplate, "arm", s.templateInputs().with(fields{"instanceType": "m7g.xlarge"}))
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"no cluster":         {fields{"clusterName": "no"}, "No cluster found for name: no"},
		"no size":            {fields{"scalingConfig": map[string]any{}}, "missing required property 'scalingConfig.desiredSize'"},
		"too few":            {fields{"scalingConfig.minSize": 4.0}, "Minimum capacity 4 can't be greater than desired size 3"},
		"role of a cluster":  {fields{"nodeRoleArn": s.clusterRole.out().str("arn")}, "ec2.amazonaws.com"},
		"script as it is":    {fields{"launchTemplate.id": plain.id}, "not in the MIME multipart format"},
		"compressed script":  {fields{"launchTemplate.id": zipped.id}, "not in the MIME multipart format"},
		"no such version":    {fields{"launchTemplate.version": "2"}, "version 2 does not exist"},
		"disk twice":         {fields{"diskSize": 20.0}, "Disk size must be specified within the launch template"},
		"type twice":         {fields{"instanceTypes": []any{"m6i.large"}}, "both the launch template and the node group"},
		"wrong processor":    {fields{"launchTemplate.id": arm.id}, "[m7g.xlarge] is not a valid instance type for requested amiType"},
		"retired image":      {fields{"amiType": "AL2_x86_64"}, "not supported for this version"},
		"newer than cluster": {fields{"version": "1.35"}, "is newer than the cluster's version 1.34"},
		"no template number": {fields{"launchTemplate": map[string]any{"id": s.template.id}}, "launchTemplate.version"},
	} {
		_, err := s.try(awsNodeGroup, "x", s.groupInputs().with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if groups := s.clouds.Resources(awsNodeGroup); len(groups) > 0 {
		t.Errorf("refused node groups exist: %v", groups)
	}
}

// What a program forgets to depend on shows as nodes that do not join, in a node group that exists all the same.
func TestNodesThatCannotJoin_MakeAFailedNodeGroup(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		missing func(*awsStack) *managed
		want    string
	}{
		"worker policy": {func(s *awsStack) *managed { return s.nodePolicies[0] }, "AmazonEKSWorkerNodePolicy"},
		"CNI policy":    {func(s *awsStack) *managed { return s.nodePolicies[1] }, "AmazonEKS_CNI_Policy"},
		"registry":      {func(s *awsStack) *managed { return s.nodePolicies[2] }, "AmazonEC2ContainerRegistryReadOnly"},
		"CNI":           {func(s *awsStack) *managed { return s.cni }, "the cluster has no VPC CNI"},
		"route":         {func(s *awsStack) *managed { return s.links[1] }, "has no route to the internet"},
	} {
		s := newCluster(t, Options{})
		s.must(s.remove(c.missing(s)))
		_, err := s.try(awsNodeGroup, "group", s.groupInputs())
		refused(t, err, c.want)
		groups := s.clouds.Resources(awsNodeGroup)
		if len(groups) != 1 || groups[0].Outputs["status"] != "CREATE_FAILED" {
			t.Errorf("%s: got %v, want one node group in CREATE_FAILED", name, groups)
		}
	}
}

func TestNodesInAPublicSubnet_NeedAddresses(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	s.must(s.update(s.subnets[0], fields{"mapPublicIpOnLaunch": false}))
	_, err := s.try(awsNodeGroup, "group", s.groupInputs())
	refused(t, err, "does not automatically assign public IP addresses")
}

func TestNodes_FollowTheClusterOnlyWhenTheyAreUpdated(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	s.must(s.update(s.cluster, fields{"version": "1.35"}))
	if got := s.read(s.group).str("version"); got != "1.34" {
		t.Errorf("after the control plane's upgrade, nodes have %s, want 1.34", got)
	}
	s.must(s.update(s.template, fields{"instanceType": "m6i.2xlarge"}))
	if got := s.template.out().integer("latestVersion"); got != 2 {
		t.Errorf("got template version %d, want 2", got)
	}
	s.must(s.update(s.group, fields{"launchTemplate.version": "2"}))
	if got := s.group.out().str("version"); got != "1.35" {
		t.Errorf("after their own update, nodes have %s, want 1.35", got)
	}
}

func TestAnAddonWithNowhereToRun_StaysDegraded(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	_, err := s.try(awsAddon, "dns", fields{"clusterName": s.cluster.id, "addonName": "coredns"})
	refused(t, err, "DEGRADED")
	_, err = s.try(awsAddon, "x", fields{"clusterName": s.cluster.id, "addonName": "coredsn"})
	refused(t, err, "Addon coredsn specified is not supported")
}

func TestWhatIsInUse_CannotBeDeleted(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	for _, c := range []struct {
		m    *managed
		want string
	}{
		{s.cluster, "Cluster has nodegroups attached"},
		{s.vpc, "DependencyViolation: The vpc"},
		{s.subnets[0], "DependencyViolation: The subnet"},
		{s.gateway, "mapped public address(es)"},
		{s.table, "DependencyViolation: The routeTable"},
		{s.nodeRole, "DeleteConflict"},
	} {
		refused(t, s.remove(c.m), c.want)
		if s.read(c.m) == nil {
			t.Errorf("%s is gone although its deletion was refused", c.m.typ)
		}
	}
}

// inOrder deletes and fails the test when it is refused.
func (s *awsStack) inOrder(lists ...[]*managed) {
	s.t.Helper()
	for _, m := range slices.Concat(lists...) {
		if err := s.remove(m); err != nil {
			s.t.Fatalf("delete %s %s: %v", m.typ, m.name, err)
		}
	}
}

func (s *awsStack) rest() []*managed {
	return slices.Concat(s.links, []*managed{s.table, s.gateway}, s.subnets, []*managed{s.vpc})
}

func TestTheRightOrder_LeavesNothing(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	s.inOrder([]*managed{s.group, s.cni, s.cluster, s.clusterPolicy}, s.nodePolicies,
		[]*managed{s.clusterRole, s.nodeRole, s.template}, s.rest())
	if left := s.clouds.Resources(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTheWrongOrder_LeavesInterfacesThatBlockTheNetwork(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*awsStack) []*managed{
		"policy before its nodes":   func(s *awsStack) []*managed { return []*managed{s.nodePolicies[1], s.group, s.cluster} },
		"CNI before the nodes":      func(s *awsStack) []*managed { return []*managed{s.cni, s.group, s.cluster} },
		"policy before its cluster": func(s *awsStack) []*managed { return []*managed{s.group, s.clusterPolicy, s.cluster} },
	} {
		s := newNodes(t, Options{})
		s.inOrder(first(s), s.links, []*managed{s.table})
		err := s.remove(s.subnets[0])
		if err == nil || !strings.Contains(err.Error(), "DependencyViolation") {
			t.Errorf("%s: got %v, want a DependencyViolation", name, err)
		}
	}
}

func TestLoadBalancers_HoldOnToTheNetwork(t *testing.T) {
	t.Parallel()
	var left atomic.Int32
	left.Store(1)
	s := newNodes(t, Options{LoadBalancersLeft: func() int { return int(left.Load()) }})
	s.inOrder([]*managed{s.group, s.cluster}, s.links, []*managed{s.table})
	refused(t, s.remove(s.gateway), "1 load balancers")
	refused(t, s.remove(s.subnets[0]), "1 load balancers")
	left.Store(0)
	s.inOrder([]*managed{s.gateway, s.subnets[0]})
	deleted := s.clouds.Journal().Done(Delete, "")
	if deleted[0].LoadBalancers != 1 || deleted[len(deleted)-1].LoadBalancers != 0 {
		t.Errorf("the journal counts %d load balancers at the first deletion and %d at the last, want 1 and 0",
			deleted[0].LoadBalancers, deleted[len(deleted)-1].LoadBalancers)
	}
}

func TestPrivateNodes_NeedAGatewayBehindAGateway(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	address := s.create(awsEip, "address", fields{"domain": "vpc"})
	nat := s.create(awsNatGateway, "nat", fields{"subnetId": s.subnets[0].id, "allocationId": address.id})
	refused(t, s.remove(address), "InvalidIPAddress.InUse")
	refused(t, s.remove(s.gateway), nat.id)
	lonely := s.create(awsVpc, "lonely", fields{"cidrBlock": "10.9.0.0/16"})
	subnet := s.create(awsSubnet, "lonely", fields{"vpcId": lonely.id, "cidrBlock": "10.9.0.0/24"})
	_, err := s.try(awsNatGateway, "none", fields{"subnetId": subnet.id, "allocationId": address.id})
	refused(t, err, "has no Internet gateway attached")
}

func TestSubnets_FitIntoTheirNetwork(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	for block, want := range map[string]string{
		"10.0.0.128/25": "conflicts with another subnet", "10.1.0.0/24": "InvalidSubnet.Range", "x": "InvalidSubnet.Range",
	} {
		_, err := s.try(awsSubnet, "x", fields{"vpcId": s.vpc.id, "cidrBlock": block})
		refused(t, err, want)
	}
	_, err := s.try(awsSubnet, "x", fields{"vpcId": s.vpc.id, "cidrBlock": "10.0.9.0/24", "availabilityZone": "eu-west-1z"})
	refused(t, err, "Subnets can currently only be created in the following availability zones")
	_, err = s.try(awsVpc, "x", fields{"cidrBlock": "10.0.0.0/8"})
	refused(t, err, "between 16 and 28 significant bits")
}

func TestZones_AreThoseOfTheRegion(t *testing.T) {
	t.Parallel()
	const token = "aws:index/getAvailabilityZones:getAvailabilityZones"
	e := newAWS(t, Options{})
	for _, c := range []struct {
		region string
		args   fields
		want   int
	}{
		{"eu-west-1", fields{"state": "available"}, 3},
		{"us-east-1", fields{"excludeZoneIds": []any{"use1-az3"}}, 5},
		{"us-east-1", fields{"allAvailabilityZones": true}, 7},
		{"us-east-1", fields{"allAvailabilityZones": true, "filters": []any{
			map[string]any{"name": "opt-in-status", "values": []any{"opt-in-not-required"}},
		}}, 6},
		{"us-west-1", fields{}, 2},
	} {
		at := connect(t, e.clouds, AWS, fields{"region": c.region})
		found, err := at.invoke(token, c.args)
		e.must(err)
		if got := len(found.strs("names")); got != c.want || len(found.strs("zoneIds")) != c.want {
			t.Errorf("%s %v: got %d zones, want %d", c.region, c.args, got, c.want)
		}
	}
	_, err := e.invoke(token, fields{"filters": []any{map[string]any{"name": "colour", "values": []any{"red"}}}})
	refused(t, err, "The filter 'colour' is invalid")
	_, err = connect(t, e.clouds, AWS, fields{"region": "eu-nowhere-1"}).invoke(token, nil)
	refused(t, err, "no such host")
}

func TestDefaultTags_AreOnEveryResource(t *testing.T) {
	t.Parallel()
	clouds := start(t, Options{Packages: []string{AWS}})
	e := connect(t, clouds, AWS, fields{"region": "eu-west-1", "defaultTags": `{"tags":{"stack":"dev","owner":"x"}}`})
	vpc := e.create(awsVpc, "vpc", fields{"cidrBlock": "10.0.0.0/16", "tags": map[string]any{"owner": "me"}})
	if got := vpc.out(); got.str("tagsAll.stack") != "dev" || got.str("tagsAll.owner") != "me" {
		t.Errorf("got tags %v, want the provider's under the resource's", got.get("tagsAll"))
	}
}

func TestAPolicyThatAWSDoesNotHave_CannotBeAttached(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	_, err := s.try(awsRolePolicy, "x", fields{"role": s.nodeRole.id, "policyArn": "arn:aws:iam::aws:policy/AmazonEKSPolicy"})
	refused(t, err, "does not exist or is not attachable")
	_, err = s.try(awsRolePolicy, "x", fields{"role": "no", "policyArn": "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"})
	refused(t, err, "The role with name no cannot be found")
}

func TestLaunchTemplates_AreRefusedAsByAWS(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	disk := func(ebs fields) fields {
		return fields{"blockDeviceMappings": []any{map[string]any{"ebs": map[string]any(ebs)}}}
	}
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"name taken":   {fields{"name": s.template.out().str("name")}, "Launch template name already in use"},
		"not base64":   {fields{"userData": "#!/bin/sh"}, "Invalid BASE64 encoding"},
		"too long":     {fields{"userData": encoded(strings.Repeat("x", 16385))}, "limited to 16384 bytes"},
		"no boolean":   {disk(fields{"encrypted": "yes"}), "expected a boolean in a string"},
		"no disk":      {disk(fields{"volumeSize": 0.0}), "want 1 to 65536 GiB"},
		"no such mode": {fields{"metadataOptions.httpTokens": "maybe"}, "http_tokens"},
		"no such tag":  {fields{"tagSpecifications": []any{map[string]any{"resourceType": "pod"}}}, "resource_type"},
	} {
		_, err := s.try(awsLaunchTemplate, "x", s.templateInputs().with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	refused(t, s.update(s.template, fields{"userData": "#"}), "Invalid BASE64 encoding")
	s.must(s.update(s.template, fields{"tags.a": "b"}))
	if got := s.template.out().integer("latestVersion"); got != 1 {
		t.Errorf("after a change of tags, got version %d, want 1", got)
	}
}

func TestARoute_LeadsToWhatExists(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	for key, want := range map[string]string{
		"gatewayId": "InvalidGatewayID.NotFound", "natGatewayId": "InvalidNatGatewayID.NotFound",
	} {
		route := map[string]any{"cidrBlock": "0.0.0.0/0", key: "no-1"}
		_, err := s.try(awsRouteTable, "x", fields{"vpcId": s.vpc.id, "routes": []any{route}})
		refused(t, err, want)
	}
	_, err := s.try(awsRouteTableLink, "x", fields{"subnetId": s.subnets[0].id, "routeTableId": s.table.id})
	refused(t, err, "conflicts with an existing association")
	_, err = s.try(awsInternetGateway, "x", fields{"vpcId": s.vpc.id})
	refused(t, err, "already has an internet gateway attached")
}

func TestAnotherRegion_IsAnotherProvider(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	for region, want := range map[string]string{"eu-west-1": same, "us-east-1": replaced} {
		if got := e.diffConfig(fields{"region": "eu-west-1"}, fields{"region": region}); got != want {
			t.Errorf("region %s: got %s, want %s", region, got, want)
		}
	}
	azure := newAzure(t, Options{})
	if got := azure.diffConfig(fields{"location": "westeurope"}, fields{"location": "eastus"}); got != update {
		t.Errorf("Azure: got %s, want %s", got, update)
	}
}

func TestASubnetThatIsThere_CanBeLookedUpAndUsed(t *testing.T) {
	t.Parallel()
	s := &awsStack{engine: newAWS(t, Options{})}
	s.identity()
	var ids []any
	for zone, id := range map[string]string{"eu-west-1a": "subnet-1", "eu-west-1b": "subnet-2"} {
		s.must(s.clouds.Add(awsSubnet, id, map[string]any{
			"vpcId": "vpc-1", "availabilityZone": zone, "availabilityZoneId": "euw1-az1",
		}))
		ids = append(ids, id)
	}
	found, err := s.invoke("aws:ec2/getSubnet:getSubnet", fields{"id": "subnet-1"})
	s.must(err)
	if got := found.str("availabilityZone"); got != "eu-west-1a" {
		t.Errorf("got zone %q, want eu-west-1a", got)
	}
	_, err = s.invoke("aws:ec2/getSubnet:getSubnet", fields{"id": "subnet-3"})
	refused(t, err, "InvalidSubnetID.NotFound")
	s.cluster = s.create(awsCluster, "cluster", s.clusterInputs().with(fields{
		"vpcConfig.subnetIds": ids, "bootstrapSelfManagedAddons": true,
	}))
	s.template = s.create(awsLaunchTemplate, "template", s.templateInputs())
	s.create(awsNodeGroup, "group", s.groupInputs().with(fields{"subnetIds": ids}))
	if got := s.cluster.out().str("vpcConfig.vpcId"); got != "vpc-1" {
		t.Errorf("got VPC %q, want vpc-1", got)
	}
	refused(t, s.clouds.Add(awsSubnet, "subnet-1", nil), "it exists")
}

// A secret that goes in comes out as one.
func TestInputs_KeepTheirSecrecy(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	checked, err := e.check(awsVpc, "vpc", nil, fields{"cidrBlock": "10.0.0.0/16"})
	e.must(err)
	checked["tags"] = resource.MakeSecret(resource.NewObjectProperty(resource.PropertyMap{
		"a": resource.NewStringProperty("b"),
	}))
	outputs := awsCloud().kinds[awsVpc].outputs(checked, fields{})
	if !outputs["tags"].IsSecret() {
		t.Errorf("got tags %v, want a secret", outputs["tags"])
	}
}
