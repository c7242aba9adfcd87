package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// validity of every certificate. A sandbox is thrown away long before; short-lived keys would only break one that is
// kept for months.
const validity = 10 * 365 * 24 * time.Hour

// Addresses the API server is known by inside the cluster. Nothing simulated dials them, but clients read them.
const (
	serviceRange = "10.96.0.0/16"
	serviceIP    = "10.96.0.1"
	podRange     = "10.244.0.0/16"
	// advertised is the API server's address in the Endpoints of the Service kubernetes, where Kubernetes refuses
	// loopback addresses: one from the block reserved for documentation (RFC 5737), so that it never is a real host.
	advertised = "192.0.2.1"
)

// authority is a certificate authority of the cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// leaf describes a certificate to issue. Its file names are name.crt and name.key.
type leaf struct {
	name   string
	by     string // name of the authority
	common string
	groups []string
	server bool
}

// etcd has an authority of its own: whoever holds a certificate of the cluster's, such as one from its signing API, must
// not be able to write to the database behind the API server's back.
const (
	clusterCA = "ca"
	etcdCA    = "etcd-ca"
)

func leaves(s state) []leaf {
	all := []leaf{
		{name: etcd, by: etcdCA, common: "etcd", server: true},
		{name: "etcd-client", by: etcdCA, common: "kube-apiserver"},
		{name: kubeAPIServer, by: clusterCA, common: "kube-apiserver", server: true},
		{name: "admin", by: clusterCA, common: "ha-iris-admin", groups: []string{"system:masters"}},
		{name: controllerManager, by: clusterCA, common: "system:kube-controller-manager"},
		{name: scheduler, by: clusterCA, common: "system:kube-scheduler"},
		// Both act for every node and for controllers that a real cluster runs under many accounts.
		{name: kwok, by: clusterCA, common: "ha-iris-kwok", groups: []string{"system:masters"}},
		{name: standIn, by: clusterCA, common: "ha-iris-standin", groups: []string{"system:masters"}},
	}
	if !s.real() {
		return all
	}
	for _, node := range nodeNames() {
		all = append(all, leaf{name: node, by: clusterCA, common: "system:node:" + node, groups: []string{"system:nodes"}})
	}
	return append(
		all,
		leaf{name: kubeProxy, by: clusterCA, common: "system:kube-proxy"},
		leaf{name: kubeletClient, by: clusterCA, common: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		leaf{name: cloud, by: clusterCA, common: "ha-iris-cloud", groups: []string{"system:masters"}},
	)
}

// addresses are those by which the API server is called.
func addresses(s state) []net.IP {
	if s.real() {
		return []net.IP{s.Lab.Host().AsSlice(), s.Lab.APIService().AsSlice()}
	}
	return []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceIP), net.ParseIP(advertised)}
}

// ensurePKI creates the cluster's keys and certificates unless all of them are there. They appear in one step: the
// directory is built beside its place and renamed. Whatever still runs with older ones is stopped, and their kubeconfig
// goes.
func (c *Cluster) ensurePKI(ctx context.Context, s state) error {
	dir := c.path("pki")
	complete, err := pkiComplete(dir, s)
	if err != nil || complete {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		c.say("repairing: keys are missing from %s; making new ones, so that %s changes", dir, c.Kubeconfig())
	}
	if err := c.stopAll(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(c.Kubeconfig()); err != nil {
		return fmt.Errorf("remove outdated kubeconfig: %w", err)
	}
	building := c.path("pki.new")
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(building), os.MkdirAll(building, 0o700)); err != nil {
		return fmt.Errorf("make room for the cluster's certificates: %w", err)
	}
	if err := issueAll(building, s); err != nil {
		return err
	}
	if err := os.Rename(building, dir); err != nil {
		return fmt.Errorf("put the cluster's certificates in place: %w", err)
	}
	return nil
}

func pkiComplete(dir string, s state) (bool, error) {
	files := []string{"service-accounts.key", "service-accounts.pub"}
	for _, name := range []string{clusterCA, etcdCA} {
		files = append(files, name+".crt", name+".key")
	}
	for _, wanted := range leaves(s) {
		files = append(files, wanted.name+".crt", wanted.name+".key")
	}
	for _, file := range files {
		_, err := os.Stat(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for the cluster's certificates: %w", err)
		}
	}
	return fitsAddresses(filepath.Join(dir, kubeAPIServer+".crt"), addresses(s))
}

// fitsAddresses says whether the certificate is for all of the addresses: those of a lab change with its network.
func fitsAddresses(path string, addresses []net.IP) (bool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read certificate: %w", err)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return false, nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false, nil //nolint:nilerr // a damaged one does not fit
	}
	lacks := func(address net.IP) bool { return certificate.VerifyHostname(address.String()) != nil }
	return !slices.ContainsFunc(addresses, lacks), nil
}

func issueAll(dir string, s state) error {
	authorities := map[string]authority{}
	for _, name := range []string{clusterCA, etcdCA} {
		created, err := newAuthority(dir, name)
		if err != nil {
			return fmt.Errorf("create certificate authority %s: %w", name, err)
		}
		authorities[name] = created
	}
	for _, wanted := range leaves(s) {
		if err := authorities[wanted.by].issue(dir, wanted, addresses(s)); err != nil {
			return fmt.Errorf("issue certificate %s: %w", wanted.name, err)
		}
	}
	// Not a certificate: signs the tokens of service accounts.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create the service accounts' key: %w", err)
	}
	return writeKeyPair(dir, "service-accounts", key)
}

func newAuthority(dir, name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("generate key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "ha-iris sandbox " + name},
		NotBefore:             time.Now().Add(-time.Hour), // clocks of virtual machines jump back when they resume
		NotAfter:              time.Now().Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("sign certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("parse own certificate: %w", err)
	}
	return authority{certificate: certificate, key: key}, writeCertificate(dir, name, der, key)
}

func (a authority) issue(dir string, wanted leaf, addresses []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("choose serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: wanted.common, Organization: wanted.groups},
		NotBefore:    a.certificate.NotBefore,
		NotAfter:     a.certificate.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if wanted.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
		template.IPAddresses = append([]net.IP{net.IPv4(127, 0, 0, 1)}, addresses...) // etcd is on loopback
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	return writeCertificate(dir, wanted.name, der, key)
}

func writeCertificate(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der),
		writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", private),
	)
}

func writeKeyPair(dir, name string, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode private key %s: %w", name, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public key %s: %w", name, err)
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", private),
		writePEM(filepath.Join(dir, name+".pub"), "PUBLIC KEY", public),
	)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
