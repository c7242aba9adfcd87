//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/test/standin"
)

// rebuildAnnotation is the sandbox's: how many seconds the rebuild of a volume's replica takes.
const rebuildAnnotation = "sandbox.ha-iris/rebuild-seconds"

// roll is a change that replaces nodes.
type roll struct {
	name string
	// key and value are the change; key is empty for another node script.
	key   string
	value any
}

func (c cloud) rolls() []roll {
	machine := map[string]string{"aks": "Standard_D8as_v5", "eks": "m6i.2xlarge", "gke": "e2-standard-8"}[c.name]
	rolls := []roll{{"machine type", "cluster.instanceType", machine}, {"disk", "cluster.dataDiskGiB", 512}}
	switch c.name {
	case "aks": // Its node script and gke's are a DaemonSet's, whose change replaces no node.
		return append(rolls, roll{"image", "cluster.nodeGeneration", 1})
	case "eks":
		return append(rolls, roll{"node script", "", nil})
	default:
		return append(rolls, roll{"larger disk", "cluster.dataDiskGiB", 600})
	}
}

// TestRolls_GoZoneByZone changes what replaces nodes, on stand-in clouds whose node pools make, drain and remove nodes of a real
// API server as the vendors do it, beside a stand-in of Longhorn that has replicas, rebuilds them and holds drains back.
func TestRolls_GoZoneByZone(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	if err := standin.InstallCLI(t.Context(), tools); err != nil {
		t.Fatalf("build the clouds' command line tools: %v", err)
	}
	for _, c := range clouds() {
		t.Run(c.name, func(t *testing.T) {
			onOwn(t)
			c.roll(t, tools)
		})
	}
}

// rolling is a stack on a cloud with machines.
type rolling struct {
	cloud
	*stack
	t   *testing.T
	api *standin.Clouds
	on  sandbox
	cfg config
}

func (c cloud) roll(t *testing.T, tools string) {
	t.Helper()
	r := c.startRolling(t, "roll-"+c.name, tools)
	r.up()
	r.mustHaveNodes(3)
	claim := r.claim()
	r.checkInPlace()
	changes := c.rolls()
	r.checkRoll(changes[0], r.goesThrough)
	r.checkRoll(changes[1], r.isKilled)
	r.checkRoll(changes[2], r.stopsWhileUnhealthy)
	if r.claim() != claim {
		t.Error("the claim is another one: the data is lost")
	}
}

// startRolling starts a cluster whose only nodes are the cloud's: what is in it goes with the cloud's cluster and is not deleted.
func (c cloud) startRolling(t *testing.T, name, tools string) *rolling {
	t.Helper()
	on := ownSandbox(t, "e2e-"+name, "--load-balancer", c.balancer)
	on.kubectl(t, "delete", "nodes", "--all")
	kubeconfig, err := os.ReadFile(on.Kubeconfig)
	if err != nil {
		t.Fatalf("read kubeconfig: %v", err)
	}
	api, err := standin.Start(t.Context(), standin.Options{
		Kubeconfig: kubeconfig, CLIDir: tools, LoadBalancersLeft: on.loadBalancers,
		// A volume is attached after 8 to 14 s (sandbox/README.md).
		Machines: &standin.Machines{Minute: 2 * time.Second, Settle: 15 * time.Second},
	})
	if err != nil {
		t.Fatalf("start the clouds: %v", err)
	}
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Errorf("stop the clouds: %v", err)
		}
	})
	cfg := baseConfig(on)
	cfg.cluster, cfg.other = object{"cloud": c.name, "rollTimeout": "5m"}, c.settings
	// The wait for a node that may return is not what this is about.
	cfg = cfg.set("storage.values.defaultSettings.replicaReplenishmentWaitInterval", 1)
	s := newStack(t, name, append(api.Env(), "CLOUDSDK_CONFIG="+t.TempDir())...)
	s.configure(cfg)
	return &rolling{cloud: c, stack: s, t: t, api: api, on: on, cfg: cfg}
}

func (r *rolling) claim() string {
	r.t.Helper()
	return r.on.kubectl(r.t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}")
}

func (r *rolling) volume() string {
	r.t.Helper()
	return r.on.kubectl(r.t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.spec.volumeName}")
}

// storageNodes are the nodes that may hold replicas, with their zones.
func (r *rolling) storageNodes() map[string]string {
	r.t.Helper()
	text := r.on.kubectl(r.t, "get", "nodes", "-l", "node.longhorn.io/create-default-disk", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.metadata.labels.topology\.kubernetes\.io/zone}{"\n"}{end}`)
	nodes := map[string]string{}
	for _, line := range strings.Fields(text) {
		name, zone, _ := strings.Cut(line, "=")
		nodes[name] = zone
	}
	return nodes
}

func (r *rolling) mustHaveNodes(want int) {
	r.t.Helper()
	nodes := r.storageNodes()
	zones := map[string]bool{}
	for _, zone := range nodes {
		zones[zone] = true
	}
	if len(nodes) != want || len(zones) != 3 {
		r.t.Fatalf("the nodes with replicas are %v, want %d in three zones", nodes, want)
	}
}

// checkInPlace changes what replaces no node.
func (r *rolling) checkInPlace() {
	r.t.Helper()
	before := r.storageNodes()
	r.cfg = r.cfg.set("cluster.tags", object{"team": "data"}).set("cluster.apiServerSourceRanges", []any{"127.0.0.0/8", "203.0.113.0/24"})
	r.configure(r.cfg)
	if _, done := r.up(); done["replace"]+done["delete"] > 0 {
		r.t.Errorf("tags and source ranges: %v, want nothing replaced", done)
	}
	if after := r.storageNodes(); !maps.Equal(before, after) {
		r.t.Errorf("tags and source ranges replaced nodes: %v became %v", before, after)
	}
}

// checkRoll makes one change, in an up as how says, and looks at what the zones' nodes and replicas went through.
func (r *rolling) checkRoll(change roll, how func()) {
	r.t.Helper()
	before := r.storageNodes()
	r.apply(change)
	if output, err := r.cli("preview"); err != nil || strings.Count(output, "its nodes are replaced or removed") < 3 {
		r.t.Errorf("%s: the preview says of three zones that their nodes are replaced: %v", change.name, err)
	}
	r.api.ForgetJournal()
	seen := r.watch()
	how()
	fewest := seen()
	r.t.Logf("%s: at least %d zones had a healthy replica at any time", change.name, fewest)
	if fewest < 2 {
		r.t.Errorf("%s: at some time only %d zones had a healthy replica", change.name, fewest)
	}
	after := r.storageNodes()
	for name := range before {
		if _, there := after[name]; there {
			r.t.Errorf("%s: node %s is still there", change.name, name)
		}
	}
	r.mustHaveNodes(3)
	r.mustGoInOrder(change.name, before)
	if _, again := r.up(); !again.onlySame() {
		r.t.Errorf("%s: a second up changed something: %v", change.name, again)
	}
}

// goesThrough is an up that nothing disturbs.
func (r *rolling) goesThrough() {
	r.t.Helper()
	if _, done := r.up(); done["delete"] > 0 {
		r.t.Errorf("%v, want nothing deleted but pools that have successors", done)
	}
}

// apply changes the configuration, or the program's node script.
func (r *rolling) apply(change roll) {
	r.t.Helper()
	if change.key == "" {
		r.setBinary(buildWithOtherScript(r.t))
		return
	}
	r.cfg = r.cfg.set(change.key, change.value)
	r.configure(r.cfg)
}

// buildWithOtherScript builds the program with a comment more in the node script, as a later release might have.
func buildWithOtherScript(t *testing.T) string {
	t.Helper()
	return buildWith(t, edit{"cluster/userdata/eks-node.sh", "log \"ready for Longhorn\"\n", "log \"ready for Longhorn\" # Of another release.\n"})
}

// edit replaces a text in a file of the program.
type edit struct{ file, before, after string }

// buildWith builds another program: this one with edits.
func buildWith(t *testing.T, edits ...edit) string {
	t.Helper()
	edited := map[string]string{}
	for _, one := range edits {
		path := filepath.Join(repository, filepath.FromSlash(one.file))
		if _, known := edited[path]; !known {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("read the program: %v", err)
			}
			edited[path] = string(content)
		}
		if strings.Count(edited[path], one.before) != 1 {
			t.Fatalf("%s has the text %d times, want once: %s", one.file, strings.Count(edited[path], one.before), one.before)
		}
		edited[path] = strings.Replace(edited[path], one.before, one.after, 1)
	}
	replace := map[string]string{}
	for path, content := range edited {
		replace[path] = writeFile(t, filepath.Base(path), content)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatalf("encode the overlay: %v", err)
	}
	binary := filepath.Join(t.TempDir(), "ha-iris")
	build := exec.Command("go", "build", "-overlay", writeFile(t, "overlay.json", string(overlay)), "-o", binary, ".")
	build.Dir = repository
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build another program: %v\n%s", err, output)
	}
	return binary
}

// TestRolls_FailWithOnePoolForAllZones proves the stand-in: with one node group over three zones, as this program once had it, EKS
// cordons all old nodes before it drains the first. No replica is then on a node that may stay, so Longhorn's budgets hold the drain
// back until EKS gives up. Where the database runs on the first of them, it moves, and the replica that follows it lets all old nodes
// go; whether it does is chance, so none follows here.
func TestRolls_FailWithOnePoolForAllZones(t *testing.T) {
	onOwn(t)
	tools := t.TempDir()
	if err := standin.InstallCLI(t.Context(), tools); err != nil {
		t.Fatalf("build the clouds' command line tools: %v", err)
	}
	eks := clouds()[slices.IndexFunc(clouds(), func(c cloud) bool { return c.name == "eks" })]
	r := eks.startRolling(t, "onepool", tools)
	r.setBinary(buildWith(
		t,
		edit{"cluster/nodes.go", "return s.cfg.Nodes / zoneCount", "return s.cfg.Nodes"},
		edit{"cluster/roll.go", "if nodes != nil {", "if false {"}, // It asks for nodes in each zone's pool.
		edit{"cluster/eks.go", "for i := range zoneCount {", "for i := range 1 {"},
		edit{"cluster/eks.go", "e.nodeGroup(i, network.nodes[i],", "e.nodeGroup(i, network.nodes,"},
		edit{"cluster/eks.go", "i int, subnet pulumi.StringInput,", "i int, subnets pulumi.StringArray,"},
		edit{"cluster/eks.go", "pulumi.StringArray{subnet}", "subnets"},
	))
	r.up()
	r.mustHaveNodes(3)
	r.apply(eks.rolls()[0])
	r.on.kubectl(t, "-n", "longhorn-system", "patch", "volumes.longhorn.io", r.volume(), "--type", "merge", "-p",
		`{"spec":{"dataLocality":"disabled"}}`)
	if output, err := r.cli("up", "--yes", "--skip-preview"); err == nil || !strings.Contains(output, "PodEvictionFailure") {
		t.Errorf("one pool for three zones went through, want PodEvictionFailure: %v\n%s", err, output)
	}
}

// setBinary makes the stack run another build of the program.
func (s *stack) setBinary(binary string) {
	s.t.Helper()
	project{file: filepath.Join(repository, "Pulumi.yaml"), program: binary}.write(s.t, s.dir)
}

// fewSamples are too few of a change that takes minutes, on a machine however busy.
const fewSamples = 5

// watch samples the replicas until the returned function is called, which returns the fewest zones that had a healthy replica on
// a living node at any time.
func (r *rolling) watch() func() int {
	stop, stopped := make(chan struct{}), sync.WaitGroup{}
	fewest, seen, missed := 3, 0, 0
	stopped.Go(func() {
		for {
			if zones, err := r.healthyZones(); err == nil {
				seen++
				fewest = min(fewest, len(zones))
			} else {
				missed++
			}
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	})
	return func() int {
		r.t.Helper()
		close(stop)
		stopped.Wait()
		r.t.Logf("%d samples of the replicas, %d without an answer", seen, missed)
		if seen < fewSamples {
			r.t.Errorf("%d samples of the replicas say nothing, want %d and more", seen, fewSamples)
		}
		return fewest
	}
}

// healthyZones are the zones that have a healthy replica. The two lists are of two moments, between which a busy machine lets a node be replaced: what
// was seen counts if the nodes are the same before and after.
func (r *rolling) healthyZones() (map[string]bool, error) {
	before, err := r.nodesNow()
	if err != nil {
		return nil, err
	}
	replicas, err := r.on.tryKubectl(r.t, "-n", "longhorn-system", "get", "replicas.longhorn.io", "-o",
		`jsonpath={range .items[?(@.spec.healthyAt)]}{.spec.nodeID}={.spec.failedAt}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	zoneOf, err := r.nodesNow()
	switch {
	case err != nil:
		return nil, err
	case !maps.Equal(before, zoneOf):
		return nil, errors.New("the nodes have changed meanwhile")
	}
	zones := map[string]bool{}
	for _, line := range strings.Fields(replicas) {
		if node, failed, _ := strings.Cut(line, "="); failed == "" && zoneOf[node] != "" {
			zones[zoneOf[node]] = true
		}
	}
	return zones, nil
}

// nodesNow are all nodes with their zones.
func (r *rolling) nodesNow() (map[string]string, error) {
	text, err := r.on.tryKubectl(r.t, "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.metadata.labels.topology\.kubernetes\.io/zone}{"\n"}{end}`)
	zones := map[string]string{}
	for _, line := range strings.Fields(text) {
		name, zone, _ := strings.Cut(line, "=")
		zones[name] = zone
	}
	return zones, err
}

// mustGoInOrder wants the old nodes of one zone gone before those of the next are touched.
func (r *rolling) mustGoInOrder(name string, old map[string]string) {
	r.t.Helper()
	var zones []string
	for _, entry := range r.api.Journal() {
		if zone, ours := old[entry.Node]; ours && slices.Contains([]standin.Op{standin.NodeCordoned, standin.NodeDrained, standin.NodeDeleted}, entry.Op) {
			if len(zones) == 0 || zones[len(zones)-1] != zone {
				zones = append(zones, zone)
			}
		}
	}
	if len(zones) != 3 || len(slices.Compact(slices.Sorted(slices.Values(zones)))) != 3 {
		r.t.Errorf("%s: the old nodes' zones were touched in the order %v, want one after the other", name, zones)
	}
}

// isKilled kills an up while the second zone's nodes are replaced, and lets another one finish.
func (r *rolling) isKilled() {
	r.t.Helper()
	r.kill(func() (bool, error) {
		zones := map[string]bool{}
		for _, entry := range r.api.Journal() {
			if entry.Op == standin.NodeAdded {
				zones[entry.Zone] = true
			}
		}
		return len(zones) >= 2, nil
	}, "up", "--yes", "--skip-preview")
	eventually(r.t, operationTimeout, func() error {
		// The cloud may still be busy with what the killed up had asked for, and refuses to do two things at once.
		output, err := r.cli("up", "--yes", "--skip-preview")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	})
}

// stopsWhileUnhealthy wants an up to stop before the nodes when a volume does not become healthy in time, and the next one to go on.
func (r *rolling) stopsWhileUnhealthy() {
	r.t.Helper()
	volume := r.volume()
	replicas := func(count int) {
		r.on.kubectl(r.t, "-n", "longhorn-system", "patch", "volumes.longhorn.io", volume, "--type", "merge", "-p",
			fmt.Sprintf(`{"spec":{"numberOfReplicas":%d}}`, count))
	}
	before := r.storageNodes()
	r.configure(r.cfg.set("cluster.rollTimeout", "1m"))
	replicas(4) // For the fourth there is no node.
	output, err := r.cli("up", "--yes", "--skip-preview")
	if err == nil {
		r.t.Errorf("nodes were replaced although a volume lacks a replica:\n%s", output)
	}
	for _, word := range []string{"iris/iris-pvc", "3 of 4 healthy replicas", "within 1m0s (cluster.rollTimeout)", "Nothing was forced", "Other nodes"} {
		if !strings.Contains(output, word) {
			r.t.Errorf("the message lacks %q", word)
		}
	}
	after := r.storageNodes() // With new ones on aks, where nothing of the old ones is touched before the volumes are healthy.
	maps.DeleteFunc(after, func(name, _ string) bool { return before[name] == "" })
	if !maps.Equal(before, after) {
		r.t.Errorf("of the nodes %v only %v are left", before, after)
	}
	replicas(3)
	r.configure(r.cfg)
	r.up()
}
