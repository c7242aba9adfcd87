package lab

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
)

// written keeps the reply; whatever else a writer can do is not asked of it.
type written struct {
	dns.ResponseWriter
	reply *dns.Msg
}

func (w *written) WriteMsg(reply *dns.Msg) error {
	w.reply = reply
	return nil
}

// ask returns the answer's code and its addresses, as they travel.
func ask(t *testing.T, p *cloudPlay, name string, kind uint16) (code int, addresses []string) {
	t.Helper()
	writer := &written{}
	p.answer(writer, new(dns.Msg).SetQuestion(name, kind))
	packed, err := writer.reply.Pack()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(packed); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, record := range reply.Answer {
		address, ok := record.(*dns.A)
		if !ok || record.Header().Name != name || record.Header().Ttl != nameTTL {
			t.Errorf("%s: got %v", name, record)
			continue
		}
		addresses = append(addresses, address.A.String())
	}
	slices.Sort(addresses)
	return reply.Rcode, addresses
}

func TestNames_AreThoseOfServicesAndOfPodsBehindHeadlessOnes(t *testing.T) {
	t.Parallel()
	early := service("early", corev1.ServiceTypeClusterIP, corev1.ClusterIPNone)
	early.Spec.PublishNotReadyAddresses = true
	play := newPlay(
		t, service("web", corev1.ServiceTypeClusterIP, "10.77.128.9"), service("db", corev1.ServiceTypeClusterIP, corev1.ClusterIPNone), early,
		service("empty", corev1.ServiceTypeClusterIP, corev1.ClusterIPNone), service("outside", corev1.ServiceTypeExternalName, ""),
		endpoint("db", "db-0", "10.77.64.5", "a", true), endpoint("db", "db-1", "10.77.65.5", "b", true),
		endpoint("db", "db-2", "10.77.66.5", "c", false), endpoint("early", "early-0", "10.77.64.6", "a", false),
	)
	cases := map[string]struct {
		kind uint16
		code int
		want []string
	}{
		"web.iris.svc.cluster.local.":           {dns.TypeA, dns.RcodeSuccess, []string{"10.77.128.9"}},
		"WEB.iris.svc.Cluster.Local.":           {dns.TypeA, dns.RcodeSuccess, []string{"10.77.128.9"}},
		"db.iris.svc.cluster.local.":            {dns.TypeANY, dns.RcodeSuccess, []string{"10.77.64.5", "10.77.65.5"}},
		"db-1.db.iris.svc.cluster.local.":       {dns.TypeA, dns.RcodeSuccess, []string{"10.77.65.5"}},
		"db-2.db.iris.svc.cluster.local.":       {dns.TypeA, dns.RcodeNameError, nil}, // not ready
		"early-0.early.iris.svc.cluster.local.": {dns.TypeA, dns.RcodeSuccess, []string{"10.77.64.6"}},
		"empty.iris.svc.cluster.local.":         {dns.TypeA, dns.RcodeSuccess, nil},
		"outside.iris.svc.cluster.local.":       {dns.TypeA, dns.RcodeSuccess, nil},
		"pod.web.iris.svc.cluster.local.":       {dns.TypeA, dns.RcodeNameError, nil}, // has an address of its own
		"web.other.svc.cluster.local.":          {dns.TypeA, dns.RcodeNameError, nil},
		"web.iris.pod.cluster.local.":           {dns.TypeA, dns.RcodeNameError, nil},
		// What search lists make of a name that is complete already.
		"web.iris.svc.cluster.local.iris.svc.cluster.local.": {dns.TypeA, dns.RcodeNameError, nil},
	}
	for name, test := range cases {
		if code, addresses := ask(t, play, name, test.kind); code != test.code || !slices.Equal(addresses, test.want) {
			t.Errorf("%s: got code %d and %v, want %d and %v", name, code, addresses, test.code, test.want)
		}
	}
	// "No such name" for another type would make resolvers forget the address, too.
	for name, want := range map[string]int{"web.iris.svc.cluster.local.": dns.RcodeSuccess, "none.iris.svc.cluster.local.": dns.RcodeNameError} {
		if code, addresses := ask(t, play, name, dns.TypeAAAA); code != want || len(addresses) > 0 {
			t.Errorf("%s, IPv6: got code %d and %v, want %d", name, code, addresses, want)
		}
	}
}
