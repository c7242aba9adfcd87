package kubeconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // As the Kubernetes provider and kubectl have it.
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
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Impersonate-") {
				w.Header().Add("Got-Impersonation", name+" "+strings.Join(values, ","))
			}
		}
		slices.Sort(w.Header()["Got-Impersonation"])
		for _, certificate := range r.TLS.PeerCertificates {
			w.Header().Set("Got-Certificate", certificate.Subject.CommonName)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// failingPlugin must not be run.
var failingPlugin = &kubeconfig.Exec{Command: "false", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}

func oidc(idToken string) *kubeconfig.AuthProvider {
	return &kubeconfig.AuthProvider{Name: "oidc", Config: map[string]string{
		"idp-issuer-url": "https://127.0.0.1:1",
		// client-go keeps a token for each client.
		"client-id": "of " + idToken, "id-token": idToken, "refresh-token": "hunter2",
	}}
}

// webToken returns a JSON web token without a signature, valid for a time.
func webToken(valid time.Duration) string {
	claims := fmt.Sprintf(`{"sub":"me","exp":%d}`, time.Now().Add(valid).Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestRequests_CarryWhatClientGoSends(t *testing.T) {
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
		"id-token":                 {AuthProvider: oidc(webToken(time.Hour))},
		"id-token in floats":       {AuthProvider: oidc("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":9.9e9}`)) + ".")},
		"token and provider":       {Token: "from-text", AuthProvider: oidc(webToken(-time.Hour))},
		"token and plugin":         {Token: "from-text", Exec: failingPlugin},
		"token file and plugin":    {TokenFile: tokenFile, Exec: failingPlugin},
		"password and plugin":      {Username: "me", Password: "s3cr3t", Exec: failingPlugin},
		"certificate and plugin":   {ClientCertificateData: certificate, ClientKeyData: key, Exec: failingPlugin},
		"impersonation": {
			Token: "t", Impersonate: "jane", ImpersonateUID: "7", ImpersonateGroups: []string{"a", "b"},
			ImpersonateUserExtra: map[string][]string{"example.com/reason 100%": {"x", "y"}, "Scopes": {"z"}},
		},
		"impersonation with id-token": {AuthProvider: oidc(webToken(time.Hour)), Impersonate: "jane"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL + "/prefix/", CertificateAuthorityData: authority}, user)
			client, err := config.Client()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Login(t.Context()); err != nil || client.GetIsAnonymous() {
				t.Errorf("anonymous %v, %v", client.GetIsAnonymous(), err)
			}
			want := byClientGosClient(t, config)
			defer want.Body.Close() //nolint:errcheck // Nothing is read.
			for name, send := range map[string]func() (*http.Response, error){
				"Get": func() (*http.Response, error) { return client.Get(t.Context(), "/version") },
				"Do":  func() (*http.Response, error) { return client.Do(t.Context(), http.MethodGet, "/version", "", nil) },
			} {
				response, err := send()
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close() //nolint:errcheck // Nothing is read.
				for _, field := range []string{"Got-Path", "Got-Authorization", "Got-Certificate", "Got-Impersonation"} {
					if got, want := response.Header.Values(field), want.Header.Values(field); !slices.Equal(got, want) {
						t.Errorf("%s: %s: got %q, client-go sends %q", name, field, got, want)
					}
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

func TestGet_KnowsTheServerByItsAuthority(t *testing.T) {
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

func TestGet_GoesThroughTheProxy(t *testing.T) {
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
func TestGet_SaysWhatIsWrongWithTheKubeconfig(t *testing.T) {
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
		"exec's apiVersion is neither":       {server, plugin(func(e *kubeconfig.Exec) { e.APIVersion = "client.authentication.k8s.io/v1alpha1" })},
		"interactiveMode is not Never":       {server, plugin(func(e *kubeconfig.Exec) { e.InteractiveMode = "hunter2" })},
		"exec's env has no name":             {server, plugin(func(e *kubeconfig.Exec) { e.Env = []kubeconfig.EnvironmentItem{{Value: "hunter2"}} })},
		"an exec plugin and an auth-provider": {server, kubeconfig.User{
			AuthProvider: oidc(webToken(time.Hour)), Exec: failingPlugin,
		}},
		"kubelogin convert-kubeconfig":   {server, kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "azure"}}},
		"gke-gcloud-auth-plugin":         {server, kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "gcp"}}},
		"the only one left is oidc":      {server, kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "openstack"}}},
		"needs idp-issuer-url":           {server, kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "oidc"}}},
		"id-token is not a JSON web tok": {server, kubeconfig.User{AuthProvider: oidc("hunter2")}},
		"there is no refresh-token": {server, kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "oidc", Config: map[string]string{
			"idp-issuer-url": "https://127.0.0.1:1", "client-id": "kubernetes", "id-token": webToken(-time.Hour),
		}}}},
		"and interactiveMode": {server, plugin(func(e *kubeconfig.Exec) { e.InteractiveMode = "" })},
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
		var client *http.Client
		if err == nil {
			client, err = rest.HTTPClientFor(settings)
		}
		if err == nil && test.user.AuthProvider != nil { // It looks at tokens when it sends one.
			response, failed := client.Get(server.Server)
			if err = failed; err == nil {
				_ = response.Body.Close()
			} else if strings.Contains(err.Error(), "connection refused") {
				err = nil
			}
		}
		if err == nil {
			t.Errorf("%s: client-go takes it", want)
		}
	}
}

func TestGet_LooksWhetherThePluginIsThere(t *testing.T) {
	t.Parallel()
	e := &kubeconfig.Exec{Command: "absent-plugin", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
	config := kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{Exec: e})
	for hint, want := range map[string]string{"": "not found in $PATH", "Install it like so": "not found in $PATH. Install it like so"} {
		e.InstallHint = hint
		response, err := config.Get(t.Context(), "/version")
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: got %v", hint, err)
		}
	}
}

// An identity provider is asked by kubectl, and by nobody else: it may take each refresh token only once.
func TestExpiredTokens_AreRenewedByKubectl(t *testing.T) {
	t.Parallel()
	asked := false
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer issuer.Close()
	server, authority := apiServer(t)
	for name, token := range map[string]string{"none": "", "expired": webToken(-time.Hour), "about to expire": webToken(5 * time.Second)} {
		provider := oidc(token)
		provider.Config["idp-issuer-url"] = issuer.URL
		cluster := kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}
		client, err := kubeconfig.New("here", cluster, kubeconfig.User{AuthProvider: provider, Impersonate: "jane"}).Client()
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(t.Context(), "/version")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = response.Body.Close()
		if got := response.Header; got.Get("Got-Authorization")+got.Get("Got-Impersonation") != "" || !client.GetIsAnonymous() {
			t.Errorf("%s: a stranger sent %v", name, got)
		}
		_, doErr := client.Do(t.Context(), http.MethodGet, "/version", "", nil) //nolint:bodyclose // There is none.
		for _, err := range []error{doErr, client.Login(t.Context())} {
			if !errors.Is(err, kubeconfig.ErrRenew) || !strings.Contains(err.Error(), "kubectl --context here version") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	if asked {
		t.Error("the identity provider was asked")
	}
}
