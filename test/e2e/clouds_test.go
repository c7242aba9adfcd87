//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"ha-iris/ops/policy/check"
	"ha-iris/test/standin"
)

const (
	managedCluster = "azure-native:containerservice:ManagedCluster"
	agentPool      = "azure-native:containerservice:AgentPool"
	eksCluster     = "aws:eks/cluster:Cluster"
	eksNodeGroup   = "aws:eks/nodeGroup:NodeGroup"
	gkeCluster     = "gcp:container/cluster:Cluster"
	gkeNodePool    = "gcp:container/nodePool:NodePool"
)

// cloud is one cloud's part of TestClouds.
type cloud struct {
	name string
	// pkg is the cloud's Pulumi package, login what the program says where it finds no credentials.
	pkg, login string
	// settings are what the cloud's own configuration namespace needs.
	settings object
	// balancer is how the cloud answers a LoadBalancer Service.
	balancer string
	// clusterType and nodesType are the resources of the control plane and of the nodes.
	clusterType, nodesType string
	// failing is what goes wrong at the first up, half-way.
	failing standin.Fault
	// deletion is the order in which the cloud's resources have to go.
	deletion []string
	// backups are the types of what a managed backup target leaves behind; none: there is none here.
	backups []string
	// keyless says that Longhorn's pods get the bucket's role from the cloud when they are made, and no key.
	keyless bool
}

func clouds() []cloud {
	halfWay := errors.New("the operation timed out")
	return []cloud{
		{
			name: "aks", pkg: standin.Azure, login: "run: az login", balancer: "ip", clusterType: managedCluster, nodesType: agentPool,
			settings: object{"azure-native:location": "westeurope"},
			failing:  standin.Refused(halfWay),
			deletion: []string{agentPool, managedCluster, "azure-native:resources:ResourceGroup"},
			backups:  []string{"azure-native:resources:ResourceGroup", "azure-native:storage:BlobContainer", "azure-native:storage:StorageAccount"},
		},
		{
			name: "eks", pkg: standin.AWS, login: "set AWS_PROFILE", balancer: "hostname", clusterType: eksCluster, nodesType: eksNodeGroup,
			settings: object{"aws:region": "eu-west-1"},
			failing:  standin.Partial(halfWay),
			deletion: []string{eksNodeGroup, eksCluster, "aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc"},
			backups: []string{
				"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
				"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2", "aws:s3/bucketV2:BucketV2",
			},
			keyless: true,
		},
		{
			name: "gke", pkg: standin.GCP, login: "gcloud auth application-default login", balancer: "ip", clusterType: gkeCluster, nodesType: gkeNodePool,
			settings: object{"gcp:project": "acme-databases", "gcp:region": "europe-west1"},
			failing:  standin.Partial(halfWay),
			deletion: []string{gkeNodePool, gkeCluster},
			backups:  []string{"gcp:storage/bucket:Bucket"},
		},
	}
}

// TestClouds takes a stack through its life on stand-in clouds: the engine, the program and everything in Kubernetes are
// real, the clouds' APIs are simulated (test/standin says what is kept of the vendors' contracts).
func TestClouds(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	if err := standin.InstallCLI(t.Context(), tools); err != nil {
		t.Fatalf("build the clouds' command line tools: %v", err)
	}
	for _, c := range clouds() {
		t.Run(c.name, func(t *testing.T) {
			onOwn(t)
			c.run(t, tools)
		})
	}
}

func (c cloud) run(t *testing.T, tools string) {
	t.Helper()
	r := c.startRolling(t, c.name, tools)
	s, api, on, cfg := r.stack, r.api, r.on, r.cfg
	kubeconfig, err := os.ReadFile(on.Kubeconfig)
	if err != nil {
		t.Fatalf("read kubeconfig: %v", err)
	}

	if len(c.backups) > 0 {
		cfg = cfg.set("storage.backup.managed", true)
		s.configure(cfg)
	}
	if c.keyless {
		r.givesPodsTheirRoles()
	}
	c.checkFirstUp(t, s, api, on)
	claim := r.claim()
	c.checkRotation(t, s, api, kubeconfig)
	cfg = c.checkChanges(t, s, cfg)
	cfg = c.checkFewerNodes(t, s, api, cfg)
	if r.claim() != claim {
		t.Error("the claim is another one: the data is lost")
	}
	if created := len(api.Journal().Done(standin.Create, c.clusterType)); created != 1 {
		t.Errorf("the cluster was created %d times", created)
	}
	c.checkDestroy(t, s, api, cfg)
}

// givesPodsTheirRoles starts what EKS has in its control plane for that. Without it the up refuses the bucket, because the pods lack the role.
func (r *rolling) givesPodsTheirRoles() {
	r.t.Helper()
	webhook, err := r.api.PodIdentityWebhook()
	if err != nil {
		r.t.Fatalf("start the webhook: %v", err)
	}
	file := filepath.Join(r.t.TempDir(), "webhook.json")
	if err := os.WriteFile(file, webhook, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.on.kubectl(r.t, "apply", "-f", file)
}

// loadBalancers counts the load balancers that Kubernetes has not taken down.
func (s sandbox) loadBalancers() int {
	output, err := exec.Command("kubectl", "--kubeconfig", s.Kubeconfig, "--context", s.Context, "get", "services", "-A",
		"-o", `jsonpath={range .items[?(@.spec.type=="LoadBalancer")]}x{end}`).Output()
	if err != nil {
		return 1 // Not known to be gone.
	}
	return len(output)
}

// checkFirstUp previews on the empty stack, fails half-way, resumes, and ends with a portal and nothing left to do.
func (c cloud) checkFirstUp(t *testing.T, s *stack, api *standin.Clouds, on sandbox) {
	t.Helper()
	api.DenyCredentials(c.pkg, true)
	if output, err := s.cli("preview"); err == nil || !strings.Contains(output, c.login) {
		t.Errorf("without credentials: want %q, got %v\n%s", c.login, err, output)
	}
	api.DenyCredentials(c.pkg, false)
	checkPolicy(t, s)
	api.FailNext(c.nodesType, standin.Create, c.failing)
	if output, err := s.cli("up", "--yes", "--skip-preview"); err == nil {
		t.Fatalf("the up did not notice that its nodes failed:\n%s", output)
	}
	if pending := api.PendingFaults(); len(pending) > 0 {
		t.Fatalf("the up never came to create %s", pending)
	}
	outputs, _ := s.up()
	portal := fmt.Sprintf("http://%v:52773/csp/sys/UtilHome.csp", outputs["irisHost"].Value)
	if outputs["portalUrl"].Value != portal || outputs["irisHost"].Value == "" {
		t.Errorf("portalUrl is %v, want %s", outputs["portalUrl"].Value, portal)
	}
	if host, _ := outputs["irisHost"].Value.(string); (net.ParseIP(host) == nil) != (c.balancer == "hostname") {
		t.Errorf("irisHost is %q, and the cloud answers with %s", host, c.balancer)
	}
	on.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=60s")
	if len(c.backups) > 0 {
		c.checkLogin(t, s, on)
	}
	if _, again := s.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
}

// checkPolicy does what the workflows do before an update: previews, and refuses what exposes or loses something.
func checkPolicy(t *testing.T, s *stack) {
	t.Helper()
	planned, err := s.plan()
	if err != nil {
		t.Fatalf("a preview on an empty stack: %v", err)
	}
	read, err := check.Read(strings.NewReader(planned))
	if err != nil {
		t.Fatalf("read the preview: %v", err)
	}
	if found := check.Check(read); len(found) > 0 || read.Len() < 20 {
		t.Errorf("the policy refuses this of %d resources: %+v", read.Len(), found)
	}
}

// checkRotation gives the cluster other credentials.
func (c cloud) checkRotation(t *testing.T, s *stack, api *standin.Clouds, kubeconfig []byte) {
	t.Helper()
	rotated := strings.ReplaceAll(string(kubeconfig), s.Name(), s.Name()+"-rotated")
	if rotated == string(kubeconfig) {
		t.Fatal("the kubeconfig does not contain the name that the rotation changes")
	}
	if err := api.SetKubeconfig([]byte(rotated)); err != nil {
		t.Fatalf("rotate: %v", err)
	}
	if _, done := s.up(optup.Refresh()); done["replace"]+done["delete"]+done["create"] > 0 {
		t.Errorf("rotated credentials replaced something: %v", done)
	}
}

// checkChanges does what the table in docs/operations.md says of node count and version, and returns the configuration that holds.
// What replaces nodes is in TestRolls_GoZoneByZone.
func (c cloud) checkChanges(t *testing.T, s *stack, cfg config) config {
	t.Helper()
	for _, change := range []struct {
		key   string
		value any
	}{{"nodes", 9}, {"kubernetesVersion", "1.36"}} {
		cfg = cfg.set("cluster."+change.key, change.value)
		s.configure(cfg)
		if _, done := s.up(); done["update"] == 0 || done["replace"]+done["delete"] > 0 {
			t.Errorf("cluster.%s: %v, want an update in place", change.key, done)
		}
	}
	// Another name is another cluster, with an empty disk: refused while the data is protected.
	s.configure(cfg.set("cluster.name", "another"))
	if output, err := s.cli("preview"); err == nil || !strings.Contains(output, "protect") {
		t.Errorf("cluster.name: want a refusal, got %v\n%s", err, output)
	}
	return cfg
}

// checkFewerNodes takes more than one node of each zone away, which is refused, and then one. It returns the configuration that
// holds.
func (c cloud) checkFewerNodes(t *testing.T, s *stack, api *standin.Clouds, cfg config) config {
	t.Helper()
	before := len(api.Journal().Done(standin.Update, c.nodesType))
	s.configure(cfg.set("cluster.nodes", 3))
	for _, operation := range [][]string{{"preview"}, {"up", "--yes"}} {
		output, err := s.cli(operation...)
		if err == nil || !strings.Contains(output, "cluster.nodes: got 3, want at least") || !strings.Contains(output, "Fewer nodes") {
			t.Errorf("%s with three nodes after nine: want a refusal, got %v\n%s", operation[0], err, output)
		}
	}
	if updated := api.Journal().Done(standin.Update, c.nodesType); len(updated) > before {
		t.Errorf("the nodes were updated: %v", updated[before:])
	}
	cfg = cfg.set("cluster.nodes", 6)
	s.configure(cfg)
	if _, done := s.up(); done["update"] == 0 || done["replace"]+done["delete"] > 0 {
		t.Errorf("one node less in each zone: %v, want an update in place", done)
	}
	for zone := 1; zone <= 3; zone++ {
		if !strings.Contains(s.printed["up.log"], fmt.Sprintf("(%d of 3) waits", zone)) {
			t.Errorf("one node less in each zone: zone %d did not wait for healthy volumes", zone)
		}
	}
	return cfg
}

// checkDestroy destroys and looks at the order.
func (c cloud) checkDestroy(t *testing.T, s *stack, api *standin.Clouds, cfg config) {
	t.Helper()
	s.configure(cfg)
	if output, err := s.cli("destroy", "--yes"); err == nil || !strings.Contains(output, "protect") {
		t.Errorf("a destroy of protected data: %v\n%s", err, output)
	}
	s.kept.Take()
	s.configure(cfg.set("iris.protectData", false))
	s.up()
	api.ForgetJournal()
	if err := s.tryDestroy(); err != nil {
		t.Fatalf("destroy: %v", err)
	}
	journal := api.Journal()
	if err := journal.Ordered(standin.Delete, c.deletion...); err != nil {
		t.Errorf("deleted in the wrong order: %v", err)
	}
	for _, entry := range journal.Done(standin.Delete, c.nodesType) {
		if entry.LoadBalancers > 0 {
			t.Errorf("%s went while %d load balancers were left", entry.Name, entry.LoadBalancers)
		}
	}
	var left []string
	for _, object := range api.Resources() {
		left = append(left, object.Type)
	}
	if slices.Sort(left); !slices.Equal(left, c.backups) {
		t.Errorf("left behind: %v, want the backups alone: %v", left, c.backups)
	}
}

// checkLogin wants Longhorn to use the bucket that was made, and its login where Longhorn reads it and nowhere else.
func (c cloud) checkLogin(t *testing.T, s *stack, on sandbox) {
	t.Helper()
	if available := on.kubectl(t, "-n", "longhorn-system", "get", "backuptargets.longhorn.io", "default", "-o", "jsonpath={.status.available}"); available != "true" {
		t.Errorf("the backup target is available: %q", available)
	}
	var login struct {
		Data map[string][]byte `json:"data"`
	}
	text := on.kubectl(t, "-n", "longhorn-system", "get", "secret", "ha-iris-backup-target", "-o", "json")
	if err := json.Unmarshal([]byte(text), &login); err != nil {
		t.Fatalf("read the login: %v", err)
	}
	stored, err := s.runCLIFor(t.Context(), (*exec.Cmd).Output, "stack", "export")
	if err != nil {
		t.Fatalf("export state as it is stored: %v", err)
	}
	secrets := 0
	for key, value := range login.Data {
		if !strings.HasSuffix(key, "_KEY") {
			continue
		}
		secrets++
		for where, text := range map[string]string{"the state": stored, "the up": s.printed["up.log"], "the preview": s.printed["preview.json"]} {
			if text == "" || strings.Contains(text, string(value)) || strings.Contains(text, base64.StdEncoding.EncodeToString(value)) {
				t.Errorf("%s is in %s in clear (%d bytes)", key, where, len(text))
			}
		}
	}
	want := 1
	if c.keyless {
		want = 0
	}
	if secrets != want {
		t.Errorf("the login has %d secret keys: %v", secrets, slices.Sorted(maps.Keys(login.Data)))
	}
}
