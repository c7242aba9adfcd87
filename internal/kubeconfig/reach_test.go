package kubeconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"ha-iris/internal/kubeconfig"
)

// apiServer answers with the credentials that it got, and asks for a client's certificate.
func apiServer(t *testing.T) (server *httptest.Server, authority []byte) {
	t.Helper()
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Got-Path", r.URL.Path)
		w.Header().Set("Got-Authorization", r.Header.Get("Authorization"))
		for _, certificate := range r.TLS.PeerCertificates {
			w.Header().Set("Got-Certificate", certificate.Subject.CommonName)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestGetSendsWhatClientGoSends(t *testing.T) {
	t.Parallel()
	server, authority := apiServer(t)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := clientCertificate(t, "me")
	for name, test := range map[string]struct {
		user kubeconfig.User
		want bool
	}{
		"nothing":     {kubeconfig.User{}, false},
		"certificate": {kubeconfig.User{ClientCertificateData: certificate, ClientKeyData: key}, true},
		"token":       {kubeconfig.User{Token: "from-text"}, true},
		"token file":  {kubeconfig.User{TokenFile: tokenFile}, true},
		"both tokens": {kubeconfig.User{Token: "from-text", TokenFile: tokenFile}, true},
		"password":    {kubeconfig.User{Username: "me", Password: "s3cr3t"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL + "/prefix/", CertificateAuthorityData: authority}, test.user)
			if got := config.HasCredentials(); got != test.want {
				t.Errorf("has credentials: %t", got)
			}
			response, err := config.Get(t.Context(), "/version")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // Nothing is read.
			want := byClientGosClient(t, config)
			defer want.Body.Close() //nolint:errcheck // Nothing is read.
			for _, field := range []string{"Got-Path", "Got-Authorization", "Got-Certificate"} {
				if got, want := response.Header.Get(field), want.Header.Get(field); got != want {
					t.Errorf("%s: got %q, client-go sends %q", field, got, want)
				}
			}
		})
	}
}

// clientCertificate returns a certificate for a user and its key, in PEM.
func clientCertificate(t *testing.T, user string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: user}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func byClientGosClient(t *testing.T, config *kubeconfig.Config) *http.Response {
	t.Helper()
	text, err := config.Render()
	if err != nil {
		t.Fatal(err)
	}
	settings, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(settings)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(settings.Host, "/")+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestGetKnowsTheServerByItsAuthority(t *testing.T) {
	t.Parallel()
	server, authority := apiServer(t)
	for name, test := range map[string]struct {
		cluster kubeconfig.Cluster
		want    string
	}{
		"unknown authority": {kubeconfig.Cluster{Server: server.URL}, "certificate"},
		"another name":      {kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority, TLSServerName: "other"}, "other"},
		"certified name":    {kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority, TLSServerName: "example.com"}, ""},
		"unchecked":         {kubeconfig.Cluster{Server: server.URL, InsecureSkipTLSVerify: true}, ""},
		"no authority":      {kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: []byte("none")}, "not a certificate in PEM"},
	} {
		response, err := kubeconfig.New("here", test.cluster, kubeconfig.User{}).Get(t.Context(), "/version")
		switch {
		case err == nil:
			_ = response.Body.Close()
			if test.want != "" {
				t.Errorf("%s: accepted", name)
			}
		case test.want == "" || !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestGetGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Got-URL", r.URL.String()) }))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("me", "s3cr3t")
	cluster := kubeconfig.Cluster{Server: "http://kubernetes.invalid", ProxyURL: address.String()}
	response, err := kubeconfig.New("here", cluster, kubeconfig.User{}).Get(t.Context(), "/version")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := response.Header.Get("Got-URL"); got != "http://kubernetes.invalid/version" {
		t.Errorf("the proxy got %q", got)
	}
	proxy.Close()
	if _, err := kubeconfig.New("here", cluster, kubeconfig.User{}).Get(t.Context(), "/version"); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

func TestGetSaysWhatIsWrongWithTheKubeconfig(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*kubeconfig.Config{
		"no cluster":         {},
		"certificate":        kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{ClientCertificateData: []byte("none")}),
		"token":              kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{TokenFile: "/absent"}),
		"proxy-url":          kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1", ProxyURL: "http://a b"}, kubeconfig.User{}),
		"Install it like so": kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{Exec: &kubeconfig.Exec{Command: "absent-plugin", InstallHint: "Install it like so"}}),
	} {
		response, err := config.Get(t.Context(), "/version")
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
