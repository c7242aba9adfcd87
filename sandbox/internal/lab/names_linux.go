package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
)

// nameTTL is CoreDNS' default for names of the cluster, in seconds.
const nameTTL = 5

// serveNames is the cluster's name server, after Kubernetes' DNS specification 1.1: addresses of Services, and of the endpoints of
// those without one. Other names are asked of the machine's own server. The channel receives why it ended.
func (p *cloudPlay) serveNames(ctx context.Context) (<-chan error, error) {
	address := netip.AddrPortFrom(p.plan.Host(), 53).String()
	packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for names: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for names: %w", err)
	}
	ended := make(chan error, 2)
	handler := dns.HandlerFunc(p.answer)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		go func() { ended <- server.ActivateAndServe() }()
	}
	return ended, nil
}

func (p *cloudPlay) answer(writer dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(question)
	if len(question.Question) == 1 {
		asked := question.Question[0]
		if name, ours := strings.CutSuffix(strings.ToLower(asked.Name), "."+Domain+"."); ours {
			p.answerOwn(reply, asked, name)
		} else {
			reply = forward(question)
		}
	}
	_ = writer.WriteMsg(reply) // whoever asked has gone, or asks again
}

// answerOwn fills in the addresses of a name of the cluster.
func (p *cloudPlay) answerOwn(reply *dns.Msg, asked dns.Question, name string) {
	reply.Authoritative = true
	addresses, known := p.lookUp(strings.Split(name, "."))
	if !known {
		reply.Rcode = dns.RcodeNameError
		return
	}
	if asked.Qtype != dns.TypeA && asked.Qtype != dns.TypeANY {
		return
	}
	for _, address := range addresses {
		reply.Answer = append(reply.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: nameTTL}, A: net.ParseIP(address),
		})
	}
}

// lookUp knows service.namespace.svc and, for Services without an address of their own, pod.service.namespace.svc.
func (p *cloudPlay) lookUp(labels []string) (addresses []string, known bool) {
	if len(labels) < 3 || len(labels) > 4 || labels[len(labels)-1] != "svc" {
		return nil, false
	}
	namespace, name := labels[len(labels)-2], labels[len(labels)-3]
	service, err := p.services.Services(namespace).Get(name)
	if err != nil {
		return nil, false
	}
	switch service.Spec.ClusterIP {
	case "": // of type ExternalName, whose other name nobody here looks up
		return nil, len(labels) == 3
	case corev1.ClusterIPNone:
	default:
		return []string{service.Spec.ClusterIP}, len(labels) == 3
	}
	slices, err := p.slicesOf(namespace, name)
	if err != nil {
		return nil, false
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready || service.Spec.PublishNotReadyAddresses
			host := endpoint.Hostname != nil && *endpoint.Hostname == labels[0]
			if ready && (len(labels) == 3 || host) {
				addresses = append(addresses, endpoint.Addresses...)
			}
		}
	}
	return addresses, len(labels) == 3 || len(addresses) > 0
}

// forward asks the first of the machine's own servers; a machine without one, or without a network, knows no other names.
func forward(question *dns.Msg) *dns.Msg {
	refused := new(dns.Msg)
	refused.SetRcode(question, dns.RcodeServerFailure)
	if _, err := os.Stat("/etc/resolv.conf"); err != nil {
		return refused
	}
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(config.Servers) == 0 {
		return refused
	}
	client := &dns.Client{Timeout: 2 * time.Second}
	reply, _, err := client.Exchange(question, net.JoinHostPort(config.Servers[0], config.Port))
	if err != nil {
		return refused
	}
	return reply
}
