package lab

import (
	"net/netip"
	"testing"
)

// nameLimit is what the kernel takes for a link's name: IFNAMSIZ less the end.
const nameLimit = 15

func TestPlan_RangesDoNotOverlapAndLieInItsNetwork(t *testing.T) {
	t.Parallel()
	for index := firstIndex; index <= lastIndex; index++ {
		plan := Plan{index}
		ranges := []netip.Prefix{plan.machines(), plan.Pods(), plan.Services(), plan.LoadBalancers()}
		for i, one := range ranges {
			if !plan.Network().Contains(one.Addr()) || one.Bits() < plan.Network().Bits() || one != one.Masked() {
				t.Errorf("%s is no range of %s", one, plan.Network())
			}
			for _, other := range ranges[i+1:] {
				if one.Overlaps(other) {
					t.Errorf("%s overlaps %s", one, other)
				}
			}
		}
		if other := (Plan{index + 1}); plan.Network().Overlaps(other.Network()) {
			t.Errorf("%s overlaps the next lab's", plan.Network())
		}
	}
}

func TestPlan_EveryNodeHasAnAddressAndARangeOfItsOwn(t *testing.T) {
	t.Parallel()
	plan, seen := Plan{firstIndex}, map[string]bool{}
	seen[plan.Host().String()] = true
	for number := range Letters {
		address, pods := plan.Node(number), plan.NodePods(number)
		if !plan.machines().Contains(address) || seen[address.String()] {
			t.Errorf("node %d has the address %s", number, address)
		}
		if !plan.Pods().Overlaps(pods) || pods.Bits() <= plan.Pods().Bits() || seen[pods.String()] {
			t.Errorf("node %d has the pods %s", number, pods)
		}
		seen[address.String()], seen[pods.String()] = true, true
	}
	if !plan.Services().Contains(plan.APIService()) || plan.APIService() == plan.Services().Addr() {
		t.Errorf("the Service kubernetes is %s in %s", plan.APIService(), plan.Services())
	}
}

func TestPlan_NamesOfLinksAreShortEnoughAndDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, index := range []int{firstIndex, lastIndex} {
		plan := Plan{index}
		names := []string{plan.Bridge()}
		for number := range Letters {
			names = append(names, plan.Cable(number), plan.plug(number))
		}
		for _, name := range names {
			if len(name) > nameLimit || seen[name] {
				t.Errorf("link %q: %d characters, seen before: %t", name, len(name), seen[name])
			}
			seen[name] = true
		}
	}
}
