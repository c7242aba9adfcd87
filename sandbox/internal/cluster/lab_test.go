package cluster

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ha-iris/sandbox/internal/lab"
	"ha-iris/sandbox/internal/tools"
)

// realState is that of a cluster with real nodes on the lab's network with the number.
func realState(index int) state {
	return state{Ports: portBlock(0), LoadBalancer: LoadBalancerIP, Nodes: RealNodes, Lab: lab.Plan{Index: index}}
}

func TestComponents_OfRealNodesCarryTheIdentityTheyAreFoundBy(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	var names []string
	for _, component := range c.components(realState(80), "/checkout/.local/bin/sandbox") {
		names = append(names, component.name)
		if identity := c.identity(component.name); !slices.Contains(component.args, identity) {
			t.Errorf("%s has no argument %s", component.name, identity)
		}
		if isNode := slices.Contains(nodeNames(), component.name); isNode != (component.machine != nil) {
			t.Errorf("%s is a machine: %t", component.name, component.machine != nil)
		}
		for _, argument := range component.args {
			if strings.Contains(argument, "0.0.0.0") || strings.Contains(argument, "[::]") {
				t.Errorf("%s is started with %s", component.name, argument)
			}
		}
	}
	if !slices.Equal(names, componentNames(realState(80))) {
		t.Errorf("got components %v, want %v in this order", names, componentNames(realState(80)))
	}
	for _, kind := range []NodeKind{SimulatedNodes, RealNodes} {
		for _, name := range componentNames(state{Nodes: kind, Snapshots: true}) {
			if !slices.Contains(allComponentNames(), name) {
				t.Errorf("%s of %s nodes would never be stopped", name, kind)
			}
		}
	}
}

// Two clusters of one checkout share its programs and images, and neither may stop a process of the other.
func TestComponents_OfTwoClustersAreToldApart(t *testing.T) {
	t.Parallel()
	one, _ := newCluster(t, "lab")
	other, err := New(one.layout, "dev", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range allComponentNames() {
		if one.identity(name) == other.identity(name) {
			t.Errorf("%s of both clusters is found by %s", name, one.identity(name))
		}
	}
}

func TestSettleNodes_RefusesWhatRealNodesDoNotHave(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	for want, has := range map[string]state{
		"load balancer mode hostname": {LoadBalancer: LoadBalancerHostname},
		"disks network":               {LoadBalancer: LoadBalancerIP, Disks: NetworkDisks},
	} {
		_, err := c.settleNodes(t.Context(), has, UpOptions{Nodes: RealNodes})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestComponents_OfRealNodesAreOnTheLabsNetwork(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	for _, component := range c.components(realState(80), "sandbox") {
		want, listens := map[string]string{
			kubeAPIServer: "--bind-address=10.80.0.1", images: "--listen=10.80.0.1:5000", cloud: "--lab=80",
		}[component.name]
		if listens && !slices.Contains(component.args, want) {
			t.Errorf("%s is started without %s: %v", component.name, want, component.args)
		}
		if component.name == controllerManager && strings.Contains(strings.Join(component.args, " "), "cidr") {
			t.Errorf("ranges of pods are given twice: %v", component.args)
		}
	}
	seen := map[string]bool{}
	for _, node := range c.machines(realState(80)) {
		for _, own := range []string{node.Dir, node.Cgroup, node.Kubeconfig, node.Zone, node.Log("kubelet")} {
			if seen[own] {
				t.Errorf("%s: another node has %s", node.Name, own)
			}
			seen[own] = true
		}
	}
}

func TestPrograms_AreOnlyThoseOfTheKind(t *testing.T) {
	t.Parallel()
	simulated, real := Programs(SimulatedNodes), Programs(RealNodes)
	if !slices.Contains(simulated, kwok) || slices.Contains(simulated, "kubelet") {
		t.Errorf("simulated nodes need %v", simulated)
	}
	for _, program := range slices.Concat(simulated, real) {
		if !slices.Contains(tools.Names(), program) {
			t.Errorf("%s is no tool", program)
		}
	}
	if slices.Contains(real, kwok) || !slices.Contains(real, "kubelet") || !slices.Contains(real, etcd) {
		t.Errorf("real nodes need %v", real)
	}
}

func TestSettleNodes_NeverChangesWhatTheNodesAre(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	for name, test := range map[string]struct {
		before state
		asked  NodeKind
	}{
		"simulated":             {state{Ports: portBlock(0), Nodes: SimulatedNodes}, RealNodes},
		"of an earlier version": {state{Ports: portBlock(0)}, RealNodes},
		"real":                  {realState(80), SimulatedNodes},
	} {
		got, err := c.settleNodes(t.Context(), test.before, UpOptions{Nodes: test.asked})
		if err == nil || !strings.Contains(err.Error(), "sandbox down --name dev --purge") || !strings.Contains(err.Error(), "--name)") {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, before := range []state{{}, {Ports: portBlock(0)}, {Ports: portBlock(0), Nodes: SimulatedNodes}} {
		if got, err := c.settleNodes(t.Context(), before, UpOptions{}); err != nil || got.Nodes != SimulatedNodes || got.Lab != (lab.Plan{}) {
			t.Errorf("%+v: got %+v, %v", before, got, err)
		}
	}
}

func TestPreflight_KnowsWhatTheNodesWillBe(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if kind, err := c.Preflight(UpOptions{}); err != nil || kind != SimulatedNodes {
		t.Errorf("a new cluster: got %s, %v", kind, err)
	}
	if err := c.saveState(realState(80)); err != nil {
		t.Fatal(err)
	}
	// Whether this machine can run them is lab.Check's.
	if kind, _ := c.Preflight(UpOptions{}); kind != RealNodes {
		t.Errorf("a lab: got %s", kind)
	}
}

// The certificate of the API server names its address, which is on the lab's network.
func TestEnsurePKI_MakesNewKeysWhenTheNetworkMoved(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	var certificates []string
	for _, index := range []int{80, 80, 81} {
		if err := c.ensurePKI(t.Context(), realState(index)); err != nil {
			t.Fatal(err)
		}
		path := c.path("pki", kubeAPIServer+".crt")
		certificates = append(certificates, readFile(t, path))
		if fits, err := fitsAddresses(path, addresses(realState(index))); err != nil || !fits {
			t.Errorf("network %d: fits %t, %v", index, fits, err)
		}
		if fits, err := fitsAddresses(path, addresses(realState(99))); err != nil || fits {
			t.Errorf("network %d fits another one: %t, %v", index, fits, err)
		}
	}
	if certificates[0] != certificates[1] || certificates[1] == certificates[2] {
		t.Errorf("the same after the second start: %t, after the move: %t",
			certificates[0] == certificates[1], certificates[1] == certificates[2])
	}
	damaged := c.path("damaged.crt")
	if err := writeFile(damaged, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")); err != nil {
		t.Fatal(err)
	}
	if fits, err := fitsAddresses(damaged, nil); err != nil || fits {
		t.Errorf("a damaged one: fits %t, %v", fits, err)
	}
}

func TestKubeconfigs_OfRealNodesNameTheLabsServer(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	c.progress = io.Discard
	s := realState(80)
	if err := c.ensurePKI(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := c.writeKubeconfigs(s); err != nil {
		t.Fatal(err)
	}
	for client, path := range c.kubeconfigs(s) {
		if content := readFile(t, path); !strings.Contains(content, "https://10.80.0.1:") {
			t.Errorf("%s: got\n%s", client, content)
		}
	}
	if !c.kubeconfigsThere(s) {
		t.Error("they are said to be missing")
	}
}

// startNode starts what stands for a node: a shell that writes down the signals of its cluster.
func startNode(t *testing.T, c *Cluster, name string) (signals string) {
	t.Helper()
	signals = c.path("signals")
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	node := lookalike(c, name)
	node.args = []string{
		"-c", `trap 'echo stop >> "$0"' USR1; trap 'echo start >> "$0"' USR2; echo up >> "$0"; while :; do sleep 0.05; done`,
		signals, c.identity(name),
	}
	if _, err := c.start(node); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := c.stop(t.Context(), name); err != nil && t.Context().Err() == nil {
			t.Errorf("stop: %v", err)
		}
	})
	awaitText(t, signals, "up\n")
	return signals
}

func awaitText(t *testing.T, path, want string) {
	t.Helper()
	got := ""
	for range 200 {
		content, err := os.ReadFile(path)
		if got = string(content); err == nil && got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: got %q, want %q", path, got, want)
}

func wantFault(t *testing.T, c *Cluster, fault Fault, want NodeState, changed bool) {
	t.Helper()
	got, err := c.injectReal(t.Context(), realState(80), fault, faultNode)
	if err != nil || got != (FaultResult{Cluster: c.Name, Node: faultNode, Fault: fault, State: want, Changed: changed}) {
		t.Fatalf("%s: got %+v, %v; want %s, changed %t", fault, got, err, want, changed)
	}
}

func TestInjectReal_StopsAKubeletAndStartsItOnceEach(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	signals := startNode(t, c, faultNode)
	wantFault(t, c, Start, Alive, false)
	wantFault(t, c, KubeletStop, KubeletStopped, true)
	awaitText(t, signals, "up\nstop\n")
	wantFault(t, c, KubeletStop, KubeletStopped, false)
	wantFault(t, c, Start, Alive, true)
	awaitText(t, signals, "up\nstop\nstart\n")
	wantFault(t, c, Start, Alive, false)
	wantLiveness(t, c, faultNode, alive)
}

// Other starts of this program read it: the fault of a node is a file.
func TestInjectReal_AKilledNodeIsGoneAndStaysSo(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	startNode(t, c, faultNode)
	wantFault(t, c, Kill, Dead, true)
	wantLiveness(t, c, faultNode, stopped)
	wantFault(t, c, Kill, Dead, false)
	again, err := New(c.layout, c.Name, io.Discard)
	if err != nil || again.faultOf(faultNode) != Kill || again.faultOf(nodeNames()[0]) != "" {
		t.Fatalf("remembered: %q, %v", again.faultOf(faultNode), err)
	}
	self := component{name: faultNode, program: "/nowhere", machine: &lab.Node{Name: faultNode}}
	if err := again.startMachines(t.Context(), []component{self}); err != nil {
		t.Errorf("the next start touches it: %v", err)
	}
	if err := again.saveFault(faultNode, Start); err != nil || again.faultOf(faultNode) != "" {
		t.Errorf("undone: %q, %v", again.faultOf(faultNode), err)
	}
}

func TestInjectReal_RefusesOneFaultOnTopOfAnotherWithTheWordThatUndoesIt(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	for before, refused := range map[Fault][]Fault{
		Kill: {Cut, KubeletStop, Join}, Cut: {KubeletStop, Start}, KubeletStop: {Cut, Join},
	} {
		if err := c.saveFault(faultNode, before); err != nil {
			t.Fatal(err)
		}
		for _, fault := range refused {
			want := "undo it first with: sandbox node " + string(before.undo()) + " " + faultNode + " --name lab"
			got, err := c.injectReal(t.Context(), realState(80), fault, faultNode)
			if err == nil || !strings.Contains(err.Error(), want) || c.faultOf(faultNode) != before {
				t.Errorf("%s after %s: got %+v, %v", fault, before, got, err)
			}
		}
	}
	if err := c.refuseMixed(faultNode, Cut, Kill); err != nil {
		t.Errorf("a node that is cut off cannot be killed: %v", err)
	}
}

func TestInjectReal_NamesTheNodesAndTheWayToRepairOne(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "lab")
	_, err := c.injectReal(t.Context(), realState(80), Cut, "b")
	if want := `there is no node "b": want one of ha-iris-node-a, ha-iris-node-b, ha-iris-node-c`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = c.injectReal(t.Context(), realState(80), Cut, faultNode)
	if err == nil || !strings.Contains(err.Error(), "repair it with: sandbox up --name lab") || c.faultOf(faultNode) != "" {
		t.Errorf("a node that does not run: got %v", err)
	}
}

// A machine that boots starts its kubelet, whatever was done to the one before.
func TestRepeatFault_ForgetsAStoppedKubeletAndNothingElse(t *testing.T) {
	t.Parallel()
	c, said := newCluster(t, "lab")
	k := component{name: faultNode, machine: &lab.Node{Name: faultNode, Number: 1, Plan: lab.Plan{Index: 1}}}
	if err := c.saveFault(faultNode, KubeletStop); err != nil {
		t.Fatal(err)
	}
	if err := c.repeatFault(k); err != nil || c.faultOf(faultNode) != "" || !strings.Contains(said.String(), "kubelet runs again") {
		t.Errorf("got %v, %q, said %q", err, c.faultOf(faultNode), said)
	}
	if err := c.saveFault(faultNode, Cut); err != nil {
		t.Fatal(err)
	}
	// There is no such cable on this machine: it tries to pull it.
	if err := c.repeatFault(k); err == nil || c.faultOf(faultNode) != Cut {
		t.Errorf("cut off: got %v, %q", err, c.faultOf(faultNode))
	}
}

func TestFault_SaysWhatARealNodeIsAfterwards(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault]NodeState{Kill: Dead, Cut: CutOff, KubeletStop: KubeletStopped, Start: Alive, Join: Alive} {
		if got := fault.state(); got != want {
			t.Errorf("%s: got %s, want %s", fault, got, want)
		}
	}
}

func TestStatus_SaysWhatWasDoneToANode(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault]string{Cut: "running, cut off", KubeletStop: "running, kubelet stopped", Kill: "running", "": "running"} {
		if got := fault.describe(string(alive)); got != want {
			t.Errorf("%s: got %q", fault, got)
		}
	}
}
