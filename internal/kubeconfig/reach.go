package kubeconfig

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Server returns the URL of the API server of a kubeconfig with one cluster; empty when it has none.
func (c *Config) Server() string {
	if len(c.Clusters) == 0 {
		return ""
	}
	return c.Clusters[0].Cluster.Server
}

// UsesPlugin reports whether a credential plugin brings the credentials of a kubeconfig with one user. Get sends none then.
func (c *Config) UsesPlugin() bool { return len(c.Users) > 0 && c.Users[0].User.Exec != nil }

// Get asks the API server of a kubeconfig with one cluster and user, whose files are embedded, for a path. It runs no
// credential plugin, because the Kubernetes provider is about to, and some take a second, but looks whether it is there.
// The caller closes the answer's body. Errors of the network are *url.Error, all others those of the kubeconfig.
func (c *Config) Get(ctx context.Context, path string) (*http.Response, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, http.MethodGet, path, "", nil)
}

// Client talks to the API server of a kubeconfig, over connections that it keeps. Safe for concurrent use.
type Client struct {
	server string
	user   User
	http   *http.Client
}

// Client returns a client for a kubeconfig with one cluster and user, whose files are embedded. It sends nothing yet; its
// errors are those that client-go, and so the Kubernetes provider, would have with the kubeconfig.
func (c *Config) Client() (*Client, error) {
	if len(c.Clusters) == 0 {
		return nil, errors.New("the context has no cluster")
	}
	cluster, user := c.Clusters[0].Cluster, User{}
	if len(c.Users) > 0 {
		user = c.Users[0].User
	}
	if err := errors.Join(cluster.check(), user.check(), user.Exec.check()); err != nil {
		return nil, err
	}
	transport, err := cluster.transport(user)
	if err != nil {
		return nil, err
	}
	return &Client{server: strings.TrimSuffix(cluster.Server, "/"), user: user, http: &http.Client{Transport: transport}}, nil
}

// Do sends a request for a path of the API server. contentType and body may be empty. The caller closes the answer's body.
// Errors of the network are *url.Error, all others those of the kubeconfig.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("server is not a URL")
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if err := c.user.authorize(request); err != nil {
		return nil, err
	}
	return c.http.Do(request)
}

// check finds what client-go, and so the Kubernetes provider, refuses later.
func (c Cluster) check() error {
	if server, err := url.Parse(c.Server); err != nil || server.Host == "" || (server.Scheme != "https" && server.Scheme != "http") {
		return errors.New("server is not a URL such as https://10.0.0.1:6443")
	}
	if c.InsecureSkipTLSVerify && len(c.CertificateAuthorityData) > 0 {
		return errors.New("there is a certificate authority, and insecure-skip-tls-verify says not to use it")
	}
	if c.ProxyURL == "" {
		return nil
	}
	proxy, err := url.Parse(c.ProxyURL) // Not quoted: it may hold a password.
	if err != nil || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
		return errors.New("proxy-url is not a URL that begins with http, https or socks5")
	}
	return nil
}

// check, like the cluster's.
func (u User) check() error {
	if u.Token != "" && u.Username+u.Password != "" {
		return errors.New("the user has a token and a password")
	}
	if u.Impersonate == "" && (u.ImpersonateUID != "" || len(u.ImpersonateGroups)+len(u.ImpersonateUserExtra) > 0) {
		return errors.New("as-uid, as-groups and as-user-extra need a user in \"as\"")
	}
	return nil
}

// check, like the cluster's. It also says what to install when the plugin is not there.
func (e *Exec) check() error {
	switch {
	case e == nil:
		return nil
	case e.Command == "" || e.APIVersion == "" || e.InteractiveMode == "":
		return errors.New("exec needs command, apiVersion and interactiveMode")
	}
	_, err := exec.LookPath(e.Command)
	switch {
	case err != nil && e.InstallHint != "":
		return fmt.Errorf("credential plugin: %w. %s", err, e.InstallHint)
	case err != nil:
		return fmt.Errorf("credential plugin: %w", err)
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
	if address, err := url.Parse(c.ProxyURL); err == nil && c.ProxyURL != "" {
		proxy = http.ProxyURL(address)
	}
	// Several questions are asked at once; HTTP/2 puts them on one connection.
	return &http.Transport{TLSClientConfig: settings, Proxy: proxy, ForceAttemptHTTP2: true}, nil
}

// authorize adds the credentials that are not part of the connection. As in client-go, the token in a file goes before one
// in the text, which is older, if the file can be read.
func (u User) authorize(request *http.Request) error {
	token := u.Token
	if u.TokenFile != "" {
		content, err := os.ReadFile(u.TokenFile)
		switch newer := strings.TrimSpace(string(content)); {
		case newer != "":
			token = newer
		case token != "":
		case err != nil:
			return unquoted("tokenFile", err)
		default:
			return errors.New("tokenFile names an empty file")
		}
	}
	switch {
	case token != "":
		request.Header.Set("Authorization", "Bearer "+token)
	case u.Username != "":
		request.SetBasicAuth(u.Username, u.Password)
	}
	return nil
}
