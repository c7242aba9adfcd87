package standin

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// kubeconfigOf is a kubeconfig with a client certificate; nothing looks into the certificates.
func kubeconfigOf(server string) []byte {
	return []byte(`apiVersion: v1
kind: Config
current-context: sandbox
contexts: [{name: sandbox, context: {cluster: sandbox, user: admin}}]
clusters: [{name: sandbox, cluster: {server: "` + server + `", certificate-authority-data: QVVUSE9SSVRZ}}]
users: [{name: admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
`)
}

// engine speaks to one cloud over loopback as Pulumi's engine does.
type engine struct {
	t      *testing.T
	clouds *Clouds
	client pulumirpc.ResourceProviderClient
}

func start(t *testing.T, options Options) *Clouds {
	t.Helper()
	if options.Kubeconfig == nil {
		options.Kubeconfig = kubeconfigOf("https://127.0.0.1:6443")
	}
	clouds, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := clouds.Close(); err != nil {
			t.Error(err)
		}
	})
	return clouds
}

// connect finds a cloud the way the engine does, through the environment, and configures it.
func connect(t *testing.T, clouds *Clouds, pkg string, config fields) *engine {
	t.Helper()
	var address string
	for _, attached := range strings.Split(strings.TrimPrefix(clouds.Env()[0], "PULUMI_DEBUG_PROVIDERS="), ",") {
		if port, ok := strings.CutPrefix(attached, pkg+":"); ok {
			address = "127.0.0.1:" + port
		}
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	e := &engine{t: t, clouds: clouds, client: pulumirpc.NewResourceProviderClient(connection)}
	args, err := marshal(toProperties(config))
	e.must(err)
	_, err = e.client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: args})
	e.must(err)
	return e
}

func newAWS(t *testing.T, options Options) *engine {
	t.Helper()
	options.Packages = []string{AWS}
	return connect(t, start(t, options), AWS, fields{"region": "eu-west-1"})
}

func newGCP(t *testing.T, options Options) *engine {
	t.Helper()
	options.Packages = []string{GCP}
	return connect(t, start(t, options), GCP, fields{"project": "my-project", "region": "europe-west1"})
}

func newAzure(t *testing.T, options Options) *engine {
	t.Helper()
	options.Packages = []string{Azure}
	return connect(t, start(t, options), Azure, fields{"location": "westeurope"})
}

func (e *engine) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func urnOf(typ, name string) string { return "urn:pulumi:dev::test::" + typ + "::" + name }

// managed is a resource in the engine's state.
type managed struct {
	typ, name, id   string
	inputs, outputs resource.PropertyMap
}

func (m *managed) out() fields { return toFields(m.outputs) }

// check returns the checked inputs, or the failures as an error.
func (e *engine) check(typ, name string, olds resource.PropertyMap, inputs fields) (resource.PropertyMap, error) {
	e.t.Helper()
	news, err := marshal(toProperties(inputs))
	e.must(err)
	before, err := marshal(olds)
	e.must(err)
	seed := sha256.Sum256([]byte(name + fmt.Sprint(olds == nil)))
	response, err := e.client.Check(e.t.Context(), &pulumirpc.CheckRequest{
		Urn: urnOf(typ, name), Olds: before, News: news, RandomSeed: seed[:],
	})
	if err != nil {
		return nil, err
	}
	var reasons []string
	for _, failure := range response.GetFailures() {
		reasons = append(reasons, failure.GetReason())
	}
	if len(reasons) > 0 {
		return nil, fmt.Errorf("check: %s", strings.Join(reasons, "; "))
	}
	checked, err := unmarshal(response.GetInputs())
	e.must(err)
	return checked, nil
}

// try checks and creates.
func (e *engine) try(typ, name string, inputs fields) (*managed, error) {
	e.t.Helper()
	checked, err := e.check(typ, name, nil, inputs)
	if err != nil {
		return nil, err
	}
	properties, err := marshal(checked)
	e.must(err)
	response, err := e.client.Create(e.t.Context(), &pulumirpc.CreateRequest{
		Urn: urnOf(typ, name), Properties: properties,
	})
	if err != nil {
		return nil, err
	}
	outputs, err := unmarshal(response.GetProperties())
	e.must(err)
	return &managed{typ: typ, name: name, id: response.GetId(), inputs: checked, outputs: outputs}, nil
}

func (e *engine) create(typ, name string, inputs fields) *managed {
	e.t.Helper()
	made, err := e.try(typ, name, inputs)
	if err != nil {
		e.t.Fatalf("create %s %s: %v", typ, name, err)
	}
	return made
}

// plan checks changed inputs and asks for the difference. A nil value takes the input away.
func (e *engine) plan(m *managed, changes fields) (*pulumirpc.DiffResponse, resource.PropertyMap) {
	e.t.Helper()
	checked, err := e.check(m.typ, m.name, m.inputs, changedInputs(m, changes))
	e.must(err)
	olds, err := marshal(m.inputs)
	e.must(err)
	news, err := marshal(checked)
	e.must(err)
	outputs, err := marshal(m.outputs)
	e.must(err)
	response, err := e.client.Diff(e.t.Context(), &pulumirpc.DiffRequest{
		Id: m.id, Urn: urnOf(m.typ, m.name), OldInputs: olds, News: news, Olds: outputs,
	})
	e.must(err)
	return response, checked
}

// changedInputs are the program's inputs with changes: without what a provider made up.
func changedInputs(m *managed, changes fields) fields {
	news := fields{}
	filled := toFields(m.inputs).strs(defaultsKey)
	for key, value := range toFields(m.inputs) {
		if !strings.HasPrefix(key, "__") && !contains(anyList(filled), key) {
			news[key] = value
		}
	}
	for path, value := range changes {
		if value == nil {
			delete(news, path)
		} else {
			news.set(path, value)
		}
	}
	return news
}

// update changes a resource in place.
func (e *engine) update(m *managed, changes fields) error {
	e.t.Helper()
	news := toFields(m.inputs)
	for path, value := range changes {
		if value == nil {
			delete(news, path)
		} else {
			news.set(path, value)
		}
	}
	request := &pulumirpc.UpdateRequest{Id: m.id, Urn: urnOf(m.typ, m.name)}
	var err error
	request.OldInputs, err = marshal(m.inputs)
	e.must(err)
	request.Olds, err = marshal(m.outputs)
	e.must(err)
	request.News, err = marshal(toProperties(news))
	e.must(err)
	response, err := e.client.Update(e.t.Context(), request)
	if err != nil {
		return err
	}
	m.inputs = toProperties(news)
	m.outputs, err = unmarshal(response.GetProperties())
	e.must(err)
	return nil
}

func (e *engine) remove(m *managed) error {
	e.t.Helper()
	state, err := marshal(m.outputs)
	e.must(err)
	_, err = e.client.Delete(e.t.Context(), &pulumirpc.DeleteRequest{
		Id: m.id, Urn: urnOf(m.typ, m.name), Properties: state,
	})
	return err
}

// read returns the outputs as they are now, or nil when the resource is gone.
func (e *engine) read(m *managed) fields {
	e.t.Helper()
	response, err := e.client.Read(e.t.Context(), &pulumirpc.ReadRequest{Id: m.id, Urn: urnOf(m.typ, m.name)})
	e.must(err)
	if response.GetId() == "" {
		return nil
	}
	outputs, err := unmarshal(response.GetProperties())
	e.must(err)
	return toFields(outputs)
}

func (e *engine) invoke(token string, args fields) (fields, error) {
	e.t.Helper()
	marshaled, err := marshal(toProperties(args))
	e.must(err)
	response, err := e.client.Invoke(e.t.Context(), &pulumirpc.InvokeRequest{Tok: token, Args: marshaled})
	if err != nil {
		return nil, err
	}
	answered, err := unmarshal(response.GetReturn())
	e.must(err)
	return toFields(answered), nil
}

// with copies fields with changes at dotted paths; nil takes a member away.
func (f fields) with(changes fields) fields {
	copied, _ := toPlain(toValue(map[string]any(f))).(map[string]any)
	for path, value := range changes {
		if value == nil && !strings.Contains(path, ".") {
			delete(copied, path)
			continue
		}
		fields(copied).set(path, value)
	}
	return copied
}

// refused fails the test unless err says want.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// awsStack is an EKS cluster with everything around it, in the order in which it is made.
type awsStack struct {
	*engine
	vpc, gateway, table      *managed
	subnets, links           []*managed
	clusterRole, nodeRole    *managed
	clusterPolicy            *managed
	nodePolicies             []*managed
	template, cluster, group *managed
	cni                      *managed
}

func trust(service string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service +
		`"},"Action":"sts:AssumeRole"}]}`
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// userData is a shell script as EKS wants it.
func userData() string {
	return encoded("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\n" +
		"Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/sh\nexit 0\n--B--\n")
}

func (s *awsStack) network() {
	s.vpc = s.create(awsVpc, "vpc", fields{"cidrBlock": "10.0.0.0/16"})
	s.gateway = s.create(awsInternetGateway, "gateway", fields{"vpcId": s.vpc.id})
	s.table = s.create(awsRouteTable, "table", fields{"vpcId": s.vpc.id, "routes": []any{
		map[string]any{"cidrBlock": "0.0.0.0/0", "gatewayId": s.gateway.id},
	}})
	for i, zone := range []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"} {
		subnet := s.create(awsSubnet, "subnet-"+zone, fields{
			"vpcId": s.vpc.id, "cidrBlock": fmt.Sprintf("10.0.%d.0/24", i), "availabilityZone": zone,
			"mapPublicIpOnLaunch": true,
		})
		s.subnets = append(s.subnets, subnet)
		s.links = append(s.links, s.create(awsRouteTableLink, "link-"+zone, fields{
			"subnetId": subnet.id, "routeTableId": s.table.id,
		}))
	}
}

func (s *awsStack) identity() {
	s.clusterRole = s.create(awsRole, "cluster", fields{"assumeRolePolicy": trust("eks.amazonaws.com")})
	s.clusterPolicy = s.attach(s.clusterRole, "AmazonEKSClusterPolicy")
	s.nodeRole = s.create(awsRole, "nodes", fields{"assumeRolePolicy": trust("ec2.amazonaws.com")})
	for _, policy := range []string{
		"AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
	} {
		s.nodePolicies = append(s.nodePolicies, s.attach(s.nodeRole, policy))
	}
}

func (s *awsStack) attach(role *managed, policy string) *managed {
	return s.create(awsRolePolicy, role.name+"-"+policy, fields{
		"role": role.id, "policyArn": "arn:aws:iam::aws:policy/" + policy,
	})
}

func (s *awsStack) subnetIDs() []any {
	var ids []any
	for _, subnet := range s.subnets {
		ids = append(ids, subnet.id)
	}
	return ids
}

func (s *awsStack) clusterInputs() fields {
	return fields{
		"roleArn": s.clusterRole.out().str("arn"), "version": "1.34",
		"vpcConfig":                  map[string]any{"subnetIds": s.subnetIDs()},
		"accessConfig":               map[string]any{"bootstrapClusterCreatorAdminPermissions": true},
		"bootstrapSelfManagedAddons": false,
	}
}

func (s *awsStack) templateInputs() fields {
	return fields{
		"userData": userData(), "instanceType": "m6i.xlarge", "blockDeviceMappings": []any{map[string]any{
			"deviceName": "/dev/xvdb", "ebs": map[string]any{"volumeSize": 200.0, "encrypted": "true"},
		}},
	}
}

func (s *awsStack) groupInputs() fields {
	return fields{
		"clusterName": s.cluster.id, "nodeRoleArn": s.nodeRole.out().str("arn"), "subnetIds": s.subnetIDs(),
		"amiType":        "AL2023_x86_64_STANDARD",
		"scalingConfig":  map[string]any{"minSize": 3.0, "desiredSize": 3.0, "maxSize": 3.0},
		"launchTemplate": map[string]any{"id": s.template.id, "version": "1"},
	}
}

// newCluster makes everything but the nodes.
func newCluster(t *testing.T, options Options) *awsStack {
	t.Helper()
	s := &awsStack{engine: newAWS(t, options)}
	s.network()
	s.identity()
	s.cluster = s.create(awsCluster, "cluster", s.clusterInputs())
	s.cni = s.create(awsAddon, "cni", fields{"clusterName": s.cluster.id, "addonName": "vpc-cni"})
	s.template = s.create(awsLaunchTemplate, "template", s.templateInputs())
	return s
}

// newNodes makes everything.
func newNodes(t *testing.T, options Options) *awsStack {
	t.Helper()
	s := newCluster(t, options)
	s.group = s.create(awsNodeGroup, "group", s.groupInputs())
	return s
}

func gkeInputs() fields {
	return fields{
		"location": "europe-west1", "initialNodeCount": 1.0, "removeDefaultNodePool": true, "deletionProtection": false,
		"releaseChannel": map[string]any{"channel": "STABLE"}, "minMasterVersion": "1.34",
		"nodeLocations":          []any{"europe-west1-b", "europe-west1-c", "europe-west1-d"},
		"workloadIdentityConfig": map[string]any{"workloadPool": "my-project.svc.id.goog"},
		"ipAllocationPolicy":     map[string]any{},
	}
}

func poolInputs(cluster *managed) fields {
	return fields{
		"cluster": cluster.id, "nodeCount": 1.0,
		"management": map[string]any{"autoRepair": true, "autoUpgrade": true},
		"nodeConfig": map[string]any{
			"machineType": "e2-standard-4", "diskSizeGb": 256.0, "diskType": "pd-balanced",
			"imageType": "UBUNTU_CONTAINERD", "workloadMetadataConfig": map[string]any{"mode": "GKE_METADATA"},
		},
	}
}

func aksInputs(group *managed) fields {
	return fields{
		"resourceGroupName": group.out().str("name"), "dnsPrefix": "iris", "kubernetesVersion": "1.34",
		"identity":       map[string]any{"type": "SystemAssigned"},
		"networkProfile": map[string]any{"networkPlugin": "azure", "networkPluginMode": "overlay"},
		"agentPoolProfiles": []any{map[string]any{
			"name": "nodes", "mode": "System", "vmSize": "Standard_D4as_v5", "osDiskSizeGB": 256.0, "count": 3.0,
			"minCount": 3.0, "maxCount": 3.0, "enableAutoScaling": true, "type": "VirtualMachineScaleSets",
			"availabilityZones": []any{"1", "2", "3"},
		}},
	}
}

// withPool changes the first agent pool.
func withPool(inputs, changes fields) fields {
	copied := inputs.with(nil)
	pool := copied.objects("agentPoolProfiles")[0]
	maps.Copy(pool, changes)
	return copied
}

func newAKS(t *testing.T) (*engine, *managed) {
	t.Helper()
	e := newAzure(t, Options{})
	return e, e.create(azureGroup, "group", fields{})
}

func (e *engine) diffConfig(before, after fields) string {
	e.t.Helper()
	olds, err := marshal(toProperties(before))
	e.must(err)
	news, err := marshal(toProperties(after))
	e.must(err)
	plan, err := e.client.DiffConfig(e.t.Context(), &pulumirpc.DiffRequest{
		Urn: urnOf("pulumi:providers:x", "p"), OldInputs: olds, News: news,
	})
	e.must(err)
	return verdict(plan)
}
