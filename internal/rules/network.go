package rules

import "net/netip"

// CheckNetwork returns what a text should be instead, when it is no network in CIDR notation, or "". Host bits are refused because
// the clouds refuse them late and Kubernetes drops them. onlyIPv4 is for APIs that take nothing else.
func CheckNetwork(text string, onlyIPv4 bool) (want string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case onlyIPv4 && (err != nil || !prefix.Addr().Is4()):
		return "an IPv4 network in CIDR notation, such as 203.0.113.0/24"
	case err != nil:
		return "a network in CIDR notation, such as 203.0.113.0/24"
	case prefix != prefix.Masked():
		return "the network's own address: " + prefix.Masked().String()
	}
	return ""
}
