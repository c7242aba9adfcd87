package cluster

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"ha-iris/sandbox/internal/layout"
)

// newCluster returns a cluster in a directory of its own, and what it says.
func newCluster(t *testing.T, name string) (*Cluster, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	c, err := New(layout.Layout{Root: t.TempDir()}, name, &said)
	if err != nil {
		t.Fatalf("new cluster: %v", err)
	}
	return c, &said
}

func TestChoosePorts_TakesTheSameFreeBlockEachTime(t *testing.T) {
	t.Parallel()
	free := func(int) bool { return true }
	first, err := choosePorts("/checkout/.local/sandbox/dev", free)
	if err != nil {
		t.Fatalf("choose: %v", err)
	}
	again, err := choosePorts("/checkout/.local/sandbox/dev", free)
	if err != nil || again != first {
		t.Errorf("got %v, %v; want %v again", again, err, first)
	}
	other, err := choosePorts("/other/.local/sandbox/dev", free)
	if err != nil || other == first {
		t.Errorf("another checkout got the same ports %v, %v", other, err)
	}
}

func TestChoosePorts_SkipsABlockWithATakenPort(t *testing.T) {
	t.Parallel()
	first, err := choosePorts("/dir", func(int) bool { return true })
	if err != nil {
		t.Fatalf("choose: %v", err)
	}
	for _, taken := range first.all() {
		got, err := choosePorts("/dir", func(port int) bool { return port != taken })
		if err != nil || slices.Contains(got.all(), taken) {
			t.Errorf("with %d taken: got %v, %v", taken, got, err)
		}
	}
	if got, err := choosePorts("/dir", func(int) bool { return false }); err == nil {
		t.Errorf("with everything taken: got %v", got)
	}
}

func TestPorts_StayBelowTheRangeOfOutgoingConnections(t *testing.T) {
	t.Parallel()
	const linuxEphemeral = 32768
	if last := portBlock(portBlocks - 1); slices.Max(last.all()) >= linuxEphemeral {
		t.Errorf("last block is %v", last)
	}
}

func TestComponents_CarryTheIdentityTheyAreFoundBy(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	all := c.components(state{}, "/checkout/.local/bin/sandbox")
	var names []string
	for _, component := range all {
		names = append(names, component.name)
		if identity := c.identity(component.name); !slices.Contains(component.args, identity) {
			t.Errorf("%s has no argument %s", component.name, identity)
		}
	}
	if !slices.Equal(names, componentNames(state{})) {
		t.Errorf("got components %v, want %v in this order", names, componentNames(state{}))
	}
}

func TestComponents_ListenOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	for _, component := range c.components(state{Ports: portBlock(0)}, "sandbox") {
		for _, argument := range component.args {
			if strings.Contains(argument, "0.0.0.0") || strings.Contains(argument, "[::]") {
				t.Errorf("%s is started with %s", component.name, argument)
			}
		}
		// What they listen on unless they are told otherwise: the API server and the two controllers on all addresses,
		// kwok and the stand-in on none.
		told := map[string]string{
			kubeAPIServer: "--bind-address=127.0.0.1", controllerManager: "--secure-port=0", scheduler: "--secure-port=0",
		}
		if want, listens := told[component.name]; listens && !slices.Contains(component.args, want) {
			t.Errorf("%s is started without %s", component.name, want)
		}
	}
}

func TestComponents_DetectADeadNodeAsLateAsRealClustersDo(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if want := "--node-monitor-grace-period=50s"; !slices.Contains(c.controllerManager(state{}).args, want) {
		t.Errorf("kube-controller-manager is started without %s", want)
	}
}

func TestComponents_TheStandInPlaysNetworkDisksOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	for disks, want := range map[Disks]string{"": "--network-disk=false", NoDisks: "--network-disk=false", NetworkDisks: "--network-disk=true"} {
		if args := c.standIn(state{Disks: disks}, "sandbox").args; !slices.Contains(args, want) {
			t.Errorf("disks %q: got %v, want %s", disks, args, want)
		}
	}
}

func TestStages_FollowTheLoadBalancerMode(t *testing.T) {
	t.Parallel()
	cases := map[LoadBalancer]struct{ has, lacks string }{
		LoadBalancerIP:       {has: "- ip:", lacks: "- hostname:"},
		LoadBalancerHostname: {has: "- hostname:", lacks: "- ip:"},
		LoadBalancerPending:  {has: "load-balancer-withdrawn", lacks: "load-balancer-assigned"},
	}
	for mode, want := range cases {
		c, _ := newCluster(t, "dev")
		if err := c.writeStages(mode); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		content := readFile(t, c.stagesPath())
		if !strings.Contains(content, want.has) || strings.Contains(content, want.lacks) {
			t.Errorf("%s: want %q and not %q in\n%s", mode, want.has, want.lacks, content)
		}
	}
}

func TestParseLoadBalancer_ListsTheModesWhenItRefuses(t *testing.T) {
	t.Parallel()
	if got, err := ParseLoadBalancer("hostname"); err != nil || got != LoadBalancerHostname {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ParseLoadBalancer("none"); err == nil || !strings.Contains(err.Error(), "[ip hostname pending]") {
		t.Errorf("got %v", err)
	}
}

func TestKubeconfig_NamesItsContextAfterTheClusterAndNeedsNoOtherFile(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "e2e")
	if err := c.ensurePKI(t.Context(), state{}); err != nil {
		t.Fatalf("keys: %v", err)
	}
	if err := c.writeKubeconfigs(state{Ports: ports{APIServer: 20000}}); err != nil {
		t.Fatalf("kubeconfigs: %v", err)
	}
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if config.CurrentContext != "ha-iris-e2e" {
		t.Errorf("current context is %q", config.CurrentContext)
	}
	if err := clientcmd.ConfirmUsable(*config, "ha-iris-e2e"); err != nil {
		t.Errorf("not usable: %v", err)
	}
	server := config.Clusters["ha-iris-e2e"]
	if server.Server != "https://127.0.0.1:20000" || server.CertificateAuthority != "" || len(server.CertificateAuthorityData) == 0 {
		t.Errorf("got server %q with authority file %q", server.Server, server.CertificateAuthority)
	}
	if user := config.AuthInfos["ha-iris-e2e"]; user.ClientKey != "" || len(user.ClientKeyData) == 0 {
		t.Errorf("got key file %q", user.ClientKey)
	}
}

func TestEnsureKubeconfigs_WritesOneAgainThatIsGone(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if err := c.ensurePKI(t.Context(), state{}); err != nil {
		t.Fatalf("keys: %v", err)
	}
	s, err := c.settle(t.Context(), UpOptions{})
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	for client, path := range c.kubeconfigs(s) {
		if err := c.ensureKubeconfigs(s); err != nil {
			t.Fatalf("ensure: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatalf("%s: remove: %v", client, err)
		}
		if err := c.ensureKubeconfigs(s); err != nil {
			t.Fatalf("ensure again: %v", err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", client, err)
		}
	}
}

func TestNodes_AreThreeInThreeZonesAndSayThatTheyAreSimulated(t *testing.T) {
	t.Parallel()
	zones := map[string]bool{}
	for _, node := range simulatedNodes("v1.34.4") {
		zones[node.Labels["topology.kubernetes.io/zone"]] = true
		if !strings.Contains(node.Status.NodeInfo.OSImage, "simulated") {
			t.Errorf("%s shows OS %q", node.Name, node.Status.NodeInfo.OSImage)
		}
		// Without it Kubernetes attaches no volumes on the node.
		if node.Annotations["volumes.kubernetes.io/controller-managed-attach-detach"] != "true" {
			t.Errorf("%s leaves attaching to its kubelet", node.Name)
		}
	}
	if len(zones) != 3 {
		t.Errorf("got zones %v", zones)
	}
}

func TestState_SurvivesAndADamagedOneIsChosenAnew(t *testing.T) {
	t.Parallel()
	c, said := newCluster(t, "dev")
	want := state{Ports: portBlock(7), LoadBalancer: LoadBalancerHostname}
	if err := c.saveState(want); err != nil {
		t.Fatalf("save: %v", err)
	}
	if got, err := c.loadState(); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if err := writeFile(c.path("state.json"), []byte(`{"ports":`)); err != nil {
		t.Fatalf("damage: %v", err)
	}
	if got, err := c.loadState(); err != nil || got != (state{}) || !strings.Contains(said.String(), "damaged") {
		t.Errorf("got %+v, %v, said %q", got, err, said)
	}
}

func TestStatus_OfAClusterThatNeverRanIsStopped(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	c.progress = io.Discard
	status, err := c.Status(t.Context())
	if err != nil || status.Health != Stopped || status.Problem != "" {
		t.Errorf("got %+v, %v", status, err)
	}
}
