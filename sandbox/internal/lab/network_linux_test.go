package lab

import (
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownNetwork puts the test on a network of its own. Its thread is never given back, so it ends with the test.
func ownNetwork(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED, networks of labs: only root may make network namespaces")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("NOT TESTED, networks of labs: make a network namespace: %v", err)
	}
}

func links(t *testing.T) []string {
	t.Helper()
	found, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range found {
		names = append(names, link.Attrs().Name)
	}
	slices.Sort(names)
	return names
}

func claim(t *testing.T, dir string, before Plan) Plan {
	t.Helper()
	plan, err := Claim(dir, before)
	if err != nil {
		t.Fatalf("claim for %s: %v", dir, err)
	}
	return plan
}

func TestClaim_GivesEachDirectoryANetworkAndTheSameOneAgain(t *testing.T) {
	ownNetwork(t)
	before := links(t)
	one, other := claim(t, "/one", Plan{}), claim(t, "/other", Plan{})
	if one.Index != firstIndex || other.Index != firstIndex+1 {
		t.Errorf("got %v and %v", one, other)
	}
	if again := claim(t, "/one", Plan{lastIndex}); again != one {
		t.Errorf("the second time: got %v, want %v", again, one)
	}
	for _, dir := range []string{"/one", "/one", "/other", "/none"} { // twice is fine
		if err := Release(dir); err != nil {
			t.Errorf("release %s: %v", dir, err)
		}
	}
	if after := links(t); !slices.Equal(after, before) {
		t.Errorf("left: %v, before: %v", after, before)
	}
	if again := claim(t, "/other", other); again != other {
		t.Errorf("after a stop: got %v, want %v as before", again, other)
	}
}

func TestClaim_SkipsWhatTheMachineReachesOtherwise(t *testing.T) {
	ownNetwork(t)
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "vpn"}}); err != nil {
		t.Skipf("NOT TESTED: make a link: %v", err)
	}
	link, err := netlink.LinkByName("vpn")
	if err != nil {
		t.Fatal(err)
	}
	taken := Plan{firstIndex}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(taken.address(7, 1), 24))}); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, "/one", taken); got.Index != firstIndex+1 {
		t.Errorf("got %v, want the next one", got)
	}
}

func TestClaim_AtOnceGivesTwoNetworks(t *testing.T) {
	ownNetwork(t)
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = namespace.Close() }()
	dirs := []string{"/one", "/other", "/third"}
	plans, errs := make([]Plan, len(dirs)), make([]error, len(dirs))
	var group sync.WaitGroup
	for i, dir := range dirs {
		group.Go(func() {
			runtime.LockOSThread() // and not unlocked: the thread ends with it
			if errs[i] = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); errs[i] == nil {
				plans[i], errs[i] = Claim(dir, Plan{})
			}
		})
	}
	group.Wait()
	seen := map[Plan]bool{}
	for i, dir := range dirs {
		if errs[i] != nil || seen[plans[i]] {
			t.Errorf("%s: got %v, %v; all got %v", dir, plans[i], errs[i], plans)
		}
		seen[plans[i]] = true
	}
}

// routeTo is the node behind an address; empty if there is none.
func routeTo(t *testing.T, address netip.Addr) string {
	t.Helper()
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	best, via := -1, ""
	for _, route := range routes {
		if bits, _ := route.Dst.Mask.Size(); route.Dst.Contains(address.AsSlice()) && bits > best {
			best, via = bits, route.Gw.String()
		}
	}
	return via
}

func TestDirect_FollowsTheNodesAndWithdrawsWhatIsGone(t *testing.T) {
	ownNetwork(t)
	plan := claim(t, "/one", Plan{})
	pods := plan.NodePods(2).Addr().Next()
	if via := routeTo(t, pods); via != plan.Node(2).String() {
		t.Errorf("pods of node 2 are behind %q", via)
	}
	play := newPlay(t, node("b", plan.Node(1).String(), true))
	play.plan = plan
	balancer := plan.LoadBalancers().Addr().Next()
	for _, number := range []int{0, 2, 2} { // a node dies, and nothing changes
		if err := play.direct(map[netip.Addr]netip.Addr{balancer: plan.Node(number)}); err != nil {
			t.Fatal(err)
		}
		if via := routeTo(t, balancer); via != plan.Node(number).String() {
			t.Errorf("the balancer is behind %q, want node %d", via, number)
		}
	}
	if via := routeTo(t, plan.APIService()); via != plan.Node(1).String() {
		t.Errorf("Services are behind %q, want the node that is ready", via)
	}
	for range 2 {
		if err := play.direct(nil); err != nil {
			t.Fatal(err)
		}
	}
	if via := routeTo(t, balancer); via != "" {
		t.Errorf("the balancer that is gone is behind %q", via)
	}
}

func TestConnect_PullsTheCableAndPutsItInAgain(t *testing.T) {
	ownNetwork(t)
	plan := claim(t, "/one", Plan{})
	if err := Connect(plan, 0, false); !gone(err) {
		t.Errorf("without a node: got %v", err)
	}
	if err := plugIn(plan, 0, unix.Gettid()); err != nil {
		t.Fatal(err)
	}
	for _, in := range []bool{false, true, true} {
		if err := Connect(plan, 0, in); err != nil {
			t.Fatal(err)
		}
		link, err := netlink.LinkByName(plan.Cable(0))
		if err != nil || link.Attrs().Flags&unix.IFF_UP != 0 != in {
			t.Errorf("got %+v, %v; want it in: %t", link, err, in)
		}
	}
	if err := Release("/one"); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(links(t), plan.Cable(0)) {
		t.Error("the cable is still there")
	}
}
