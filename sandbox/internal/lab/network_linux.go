package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Claim makes the network of the lab whose directory is given, and returns its addresses. The number is the one before if nobody
// else has it. The link's alias tells whose it is; making it is one step, so two labs never get the same.
func Claim(dir string, before Plan) (Plan, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return Plan{}, fmt.Errorf("list network links: %w", err)
	}
	for _, link := range links {
		if index, ok := ours(link, dir); ok {
			return Plan{index}, setUp(Plan{index}, link)
		}
	}
	taken, err := takenNetworks()
	if err != nil {
		return Plan{}, err
	}
	for _, index := range candidates(before.Index) {
		plan := Plan{index}
		if overlaps(taken, plan.Network()) {
			continue
		}
		link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: plan.Bridge()}}
		if err := netlink.LinkAdd(link); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return Plan{}, fmt.Errorf("make network %s: %w", plan.Bridge(), err)
		}
		if err := netlink.LinkSetAlias(link, dir); err != nil {
			return Plan{}, errors.Join(fmt.Errorf("mark network %s: %w", plan.Bridge(), err), netlink.LinkDel(link))
		}
		return plan, setUp(plan, link)
	}
	return Plan{}, fmt.Errorf("no network 10.N.0.0/16 with N from %d to %d is free on this machine", firstIndex, lastIndex)
}

func candidates(first int) []int {
	var indices []int
	if first >= firstIndex && first <= lastIndex {
		indices = append(indices, first)
	}
	for index := firstIndex; index <= lastIndex; index++ {
		indices = append(indices, index)
	}
	return indices
}

// ours says whether the link is the network of the lab in the directory.
func ours(link netlink.Link, dir string) (index int, ok bool) {
	if link.Type() != "bridge" || link.Attrs().Alias != dir {
		return 0, false
	}
	_, err := fmt.Sscanf(link.Attrs().Name, "hairis%d", &index)
	return index, err == nil
}

func setUp(plan Plan, link netlink.Link) error {
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(plan.Host(), plan.machines().Bits()))}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("give %s the address %s: %w", plan.Bridge(), plan.Host(), err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch %s on: %w", plan.Bridge(), err)
	}
	for number := range Letters {
		if err := route(link, plan.NodePods(number), plan.Node(number)); err != nil {
			return err
		}
	}
	return nil
}

// route sends a range to the node behind an address of the link's network.
func route(link netlink.Link, to netip.Prefix, via netip.Addr) error {
	err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to), Gw: via.AsSlice()})
	if err != nil {
		return fmt.Errorf("route %s to %s: %w", to, via, err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// takenNetworks are those to which this machine has a route other than the default.
func takenNetworks() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var taken []netip.Prefix
	for _, one := range routes {
		if one.Dst == nil {
			continue
		}
		address, ok := netip.AddrFromSlice(one.Dst.IP.To4())
		bits, _ := one.Dst.Mask.Size()
		if ok && bits > 0 {
			taken = append(taken, netip.PrefixFrom(address, bits))
		}
	}
	return taken, nil
}

func overlaps(taken []netip.Prefix, wanted netip.Prefix) bool {
	for _, one := range taken {
		if one.Overlaps(wanted) {
			return true
		}
	}
	return false
}

// Release removes the network of the lab in the directory; its routes go with it.
func Release(dir string) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list network links: %w", err)
	}
	var errs []error
	for _, link := range links {
		index, ok := ours(link, dir)
		if !ok {
			continue
		}
		for number := range Letters {
			errs = append(errs, unplug(Plan{index}, number))
		}
		if err := netlink.LinkDel(link); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("remove network %s: %w", link.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

func gone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, syscall.ENODEV)
}

// plugIn connects the node whose first process is given.
func plugIn(plan Plan, number, pid int) error {
	if err := unplug(plan, number); err != nil { // of a start that did not come to its end
		return err
	}
	bridge, err := netlink.LinkByName(plan.Bridge())
	if err != nil {
		return fmt.Errorf("find network %s: %w", plan.Bridge(), err)
	}
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: plan.Cable(number), MasterIndex: bridge.Attrs().Index},
		PeerName:  plan.plug(number), PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("make cable %s: %w", cable.Name, err)
	}
	if err := netlink.LinkSetUp(cable); err != nil {
		return fmt.Errorf("switch %s on: %w", cable.Name, err)
	}
	return nil
}

func unplug(plan Plan, number int) error {
	link, err := netlink.LinkByName(plan.Cable(number))
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("remove cable %s: %w", plan.Cable(number), err)
	}
	return nil
}

// Connect puts the cable of a node in, or pulls it. Nobody on the other side is told: no FIN and no RST, as with a real cable.
func Connect(plan Plan, number int, in bool) error {
	link, err := netlink.LinkByName(plan.Cable(number))
	if err != nil {
		return fmt.Errorf("find cable %s: %w", plan.Cable(number), err)
	}
	act := netlink.LinkSetDown
	if in {
		act = netlink.LinkSetUp
	}
	if err := act(link); err != nil {
		return fmt.Errorf("switch cable %s: %w", plan.Cable(number), err)
	}
	return nil
}

// join is the node's side: it names the link, takes the addresses and learns the ways to the other nodes' pods.
func join(plan Plan, number int) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("switch loopback on: %w", err)
	}
	link, err := netlink.LinkByName(plan.plug(number))
	if err != nil {
		return fmt.Errorf("find the node's link %s: %w", plan.plug(number), err)
	}
	if err := netlink.LinkSetName(link, "eth0"); err != nil {
		return fmt.Errorf("name the node's link: %w", err)
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(plan.Node(number), plan.machines().Bits()))}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("give the node the address %s: %w", plan.Node(number), err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch the node's link on: %w", err)
	}
	for other := range Letters {
		if other == number {
			continue
		}
		if err := route(link, plan.NodePods(other), plan.Node(other)); err != nil {
			return err
		}
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: plan.Host().AsSlice()})
}
