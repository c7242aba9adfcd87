package kubeconfig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// Server returns the URL of the API server of a kubeconfig with one cluster; empty when it has none.
func (c *Config) Server() string {
	if len(c.Clusters) == 0 {
		return ""
	}
	return c.Clusters[0].Cluster.Server
}

// HasCredentials reports whether the text of a kubeconfig with one user holds credentials that Get sends. It does not when
// there is none, or when a plugin brings them.
func (c *Config) HasCredentials() bool {
	if len(c.Users) == 0 {
		return false
	}
	user := c.Users[0].User
	return user.Exec == nil && (len(user.ClientCertificateData) > 0 || user.Token != "" || user.TokenFile != "" || user.Username != "")
}

// Get asks the API server of a kubeconfig with one cluster and user, whose files are embedded, for a path. It runs no
// credential plugin, because the Kubernetes provider is about to, and some take a second, but looks whether it is there.
// The caller closes the answer's body. Errors of the network are *url.Error, all others those of the kubeconfig.
func (c *Config) Get(ctx context.Context, path string) (*http.Response, error) {
	if len(c.Clusters) == 0 {
		return nil, errors.New("the context has no cluster")
	}
	var user User
	if len(c.Users) > 0 {
		user = c.Users[0].User
	}
	if err := user.Exec.check(); err != nil {
		return nil, err
	}
	transport, err := c.Clusters[0].Cluster.transport(user)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Server(), "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if err := user.authorize(request); err != nil {
		return nil, err
	}
	return (&http.Client{Transport: transport}).Do(request)
}

// check says what to install when the plugin is not there.
func (e *Exec) check() error {
	if e == nil {
		return nil
	}
	if _, err := exec.LookPath(e.Command); err != nil {
		return fmt.Errorf("credential plugin: %w. %s", err, e.InstallHint)
	}
	return nil
}

func (c Cluster) transport(user User) (*http.Transport, error) {
	settings := &tls.Config{
		ServerName:         c.TLSServerName,
		InsecureSkipVerify: c.InsecureSkipTLSVerify, //nolint:gosec // The kubeconfig's owner decides; so do kubectl and the provider.
	}
	if len(c.CertificateAuthorityData) > 0 {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(c.CertificateAuthorityData) {
			return nil, errors.New("the certificate authority is not a certificate in PEM")
		}
	}
	if len(user.ClientCertificateData) > 0 {
		pair, err := tls.X509KeyPair(user.ClientCertificateData, user.ClientKeyData)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	proxy := http.ProxyFromEnvironment
	if c.ProxyURL != "" {
		address, err := url.Parse(c.ProxyURL)
		if err != nil {
			return nil, errors.New("proxy-url is not a URL") // It may hold a password.
		}
		proxy = http.ProxyURL(address)
	}
	// One request is all there will be.
	return &http.Transport{TLSClientConfig: settings, Proxy: proxy, DisableKeepAlives: true}, nil
}

// authorize adds the credentials that are not part of the connection. As in client-go, the token in a file goes before one
// in the text, which is older.
func (u User) authorize(request *http.Request) error {
	token := u.Token
	if u.TokenFile != "" {
		content, err := os.ReadFile(u.TokenFile)
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		token = strings.TrimSpace(string(content))
	}
	switch {
	case token != "":
		request.Header.Set("Authorization", "Bearer "+token)
	case u.Username != "":
		request.SetBasicAuth(u.Username, u.Password)
	}
	return nil
}
