package lab

import (
	"fmt"
	"net/netip"
)

// Letters name the nodes of a lab, in order.
const Letters = "abc"

// The networks of labs are 10.N.0.0/16 with N in this range: above the ranges that clouds and Docker like to use.
const (
	firstIndex = 77
	lastIndex  = 126
)

// Plan is the addresses of one lab. They follow from its number; 0 is no lab.
type Plan struct {
	Index int `json:"index"`
}

func (p Plan) address(third, fourth int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(p.Index), byte(third), byte(fourth)})
}

func (p Plan) prefix(third, bits int) netip.Prefix {
	return netip.PrefixFrom(p.address(third, 0), bits)
}

// Network has all addresses of the lab in it.
func (p Plan) Network() netip.Prefix { return p.prefix(0, 16) }

// machines is the network that the nodes and the control plane are on.
func (p Plan) machines() netip.Prefix { return p.prefix(0, 24) }

// Host is the machine's own address there: the API server, the cluster DNS and the images are behind it.
func (p Plan) Host() netip.Addr { return p.address(0, 1) }

// Node is the address of the node with the number, from 0.
func (p Plan) Node(number int) netip.Addr { return p.address(0, 11+number) }

// Pods is the range of all pods' addresses.
func (p Plan) Pods() netip.Prefix { return p.prefix(64, 18) }

// NodePods is the range of one node's pods.
func (p Plan) NodePods(number int) netip.Prefix { return p.prefix(64+number, 24) }

// Services is the range of cluster IPs.
func (p Plan) Services() netip.Prefix { return p.prefix(128, 20) }

// APIService is the address of the Service kubernetes: the first of the range.
func (p Plan) APIService() netip.Addr { return p.Services().Addr().Next() }

// LoadBalancers is the range from which Services of type LoadBalancer get theirs.
func (p Plan) LoadBalancers() netip.Prefix { return p.prefix(250, 24) }

// Bridge is the name of the link that stands for the network between the machines.
func (p Plan) Bridge() string { return fmt.Sprintf("hairis%d", p.Index) }

// Cable is the name of the host's end of a node's link: what is pulled to cut it off.
func (p Plan) Cable(number int) string { return fmt.Sprintf("hairis%d%c", p.Index, Letters[number]) }

// plug is the node's end, until the node gives it its name.
func (p Plan) plug(number int) string { return p.Cable(number) + "p" }
