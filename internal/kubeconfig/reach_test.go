package kubeconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
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
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := clientCertificate(t, "me")
	for name, user := range map[string]kubeconfig.User{
		"nothing":                  {},
		"certificate":              {ClientCertificateData: certificate, ClientKeyData: key},
		"token":                    {Token: "from-text"},
		"token file":               {TokenFile: tokenFile},
		"both tokens":              {Token: "from-text", TokenFile: tokenFile},
		"token and an absent file": {Token: "from-text", TokenFile: tokenFile + "-absent"},
		"token and an empty file":  {Token: "from-text", TokenFile: empty},
		"password":                 {Username: "me", Password: "s3cr3t"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL + "/prefix/", CertificateAuthorityData: authority}, user)
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

// Whatever is refused here, client-go refuses too.
func TestGetSaysWhatIsWrongWithTheKubeconfig(t *testing.T) {
	t.Parallel()
	server := kubeconfig.Cluster{Server: "https://127.0.0.1:1"}
	_, authority := apiServer(t)
	plugin := func(change func(*kubeconfig.Exec)) kubeconfig.User {
		e := &kubeconfig.Exec{Command: "sh", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
		change(e)
		return kubeconfig.User{Exec: e}
	}
	for want, test := range map[string]struct {
		cluster kubeconfig.Cluster
		user    kubeconfig.User
	}{
		"server is not a URL":                {kubeconfig.Cluster{}, kubeconfig.User{}},
		"there is a certificate authority":   {kubeconfig.Cluster{Server: server.Server, CertificateAuthorityData: authority, InsecureSkipTLSVerify: true}, kubeconfig.User{}},
		"proxy-url is not a URL that begins": {kubeconfig.Cluster{Server: server.Server, ProxyURL: "ftp://me:hunter2@proxy"}, kubeconfig.User{}},
		"client certificate":                 {server, kubeconfig.User{ClientCertificateData: []byte("hunter2")}},
		"tokenFile names a file":             {server, kubeconfig.User{TokenFile: "/hunter2"}},
		"a token and a password":             {server, kubeconfig.User{Token: "hunter2", Username: "me", Password: "hunter2"}},
		`need a user in "as"`:                {server, kubeconfig.User{ImpersonateUID: "7"}},
		"exec needs command":                 {server, plugin(func(e *kubeconfig.Exec) { e.APIVersion = "" })},
		"and interactiveMode":                {server, plugin(func(e *kubeconfig.Exec) { e.InteractiveMode = "" })},
	} {
		config := kubeconfig.New("here", test.cluster, test.user)
		response, err := config.Get(t.Context(), "/version")
		if err == nil {
			_ = response.Body.Close()
		}
		var network *url.Error
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || errors.As(err, &network) {
			t.Errorf("%s: got %v", want, err)
		}
		text, err := config.Render()
		if err != nil {
			t.Fatal(err)
		}
		settings, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
		if err == nil {
			_, err = rest.HTTPClientFor(settings)
		}
		if err == nil {
			t.Errorf("%s: client-go takes it", want)
		}
	}
}

func TestGetLooksWhetherThePluginIsThere(t *testing.T) {
	t.Parallel()
	e := &kubeconfig.Exec{Command: "absent-plugin", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
	config := kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{Exec: e})
	for hint, want := range map[string]string{"": "not found in $PATH", "Install it like so": "not found in $PATH. Install it like so"} {
		e.InstallHint = hint
		response, err := config.Get(t.Context(), "/version")
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil || !strings.HasSuffix(err.Error(), want) || !config.UsesPlugin() {
			t.Errorf("%q: got %v", hint, err)
		}
	}
}
