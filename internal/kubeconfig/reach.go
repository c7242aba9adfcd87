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
	"slices"
	"strings"
	"time"
)

// Server returns the URL of the API server of a kubeconfig with one cluster; empty when it has none.
func (c *Config) Server() string {
	if len(c.Clusters) == 0 {
		return ""
	}
	return c.Clusters[0].Cluster.Server
}

// Get asks the API server of a kubeconfig for a path, as Client.Get does, over a connection of its own.
func (c *Config) Get(ctx context.Context, path string) (*http.Response, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, path)
}

// Client sends requests to the API server of a kubeconfig, over connections that it keeps open. Safe for concurrent use.
type Client struct {
	context string
	server  string
	user    User
	http    *http.Client
	plugin  *plugin // Nil: the credentials are not a plugin's.
}

// Client returns a client for a kubeconfig with one cluster and user, whose files are embedded. It sends nothing and runs no
// plugin yet, but checks that the plugin exists. Its errors are those that client-go, and so the Kubernetes provider, would have
// with the kubeconfig.
func (c *Config) Client() (*Client, error) {
	if len(c.Clusters) == 0 {
		return nil, errors.New("the context has no cluster")
	}
	cluster, user := c.Clusters[0].Cluster, User{}
	if len(c.Users) > 0 {
		user = c.Users[0].User
	}
	if err := errors.Join(cluster.check(), user.check(), user.Exec.check(), user.AuthProvider.check()); err != nil {
		return nil, err
	}
	transport, err := cluster.transport(user.ClientCertificateData, user.ClientKeyData)
	if err != nil {
		return nil, err
	}
	client := &Client{
		context: c.CurrentContext, server: strings.TrimSuffix(cluster.Server, "/"), user: user, http: &http.Client{Transport: transport},
	}
	if user.usesPlugin() {
		if err := user.Exec.find(); err != nil {
			return nil, err
		}
		client.plugin = &plugin{exec: user.Exec, cluster: cluster}
	}
	return client, nil
}

// Get asks for a path with the credentials that the kubeconfig itself has. It runs no credential plugin, because the
// Kubernetes provider runs it anyway, and some take a second. The caller closes the answer's body. Errors of the network are
// *url.Error, all others those of the kubeconfig.
func (c *Client) Get(ctx context.Context, path string) (*http.Response, error) {
	request, err := c.request(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	if c.plugin != nil {
		return c.http.Do(request)
	}
	switch err := c.user.authorize(request); {
	case errors.Is(err, ErrRenew): // The provider renews them for itself.
	case err != nil:
		return nil, err
	default:
		c.user.impersonate(request)
	}
	return c.http.Do(request)
}

// GetIsAnonymous reports whether Get sends no credentials because they come from a plugin, or from an
// identity provider as a new token. If the server then refuses Get, that does not mean that they are wrong.
func (c *Client) GetIsAnonymous() bool {
	return c.plugin != nil || errors.Is(c.user.authorize(&http.Request{Header: http.Header{}}), ErrRenew)
}

// Login runs the plugin for the credentials that Do sends, if there is one and they are not there yet. It may take as long as the
// plugin, so it is called before a request with a short timeout. The error is ErrRenew when only kubectl can get them.
func (c *Client) Login(ctx context.Context) error {
	if c.plugin != nil {
		_, err := c.plugin.credentials(ctx)
		return err
	}
	return c.renewable(c.user.authorize(&http.Request{Header: http.Header{}}))
}

// Do sends a request for a path of the API server with all credentials, as kubectl would. contentType and body may be empty.
// The caller closes the answer's body. Errors of the network are *url.Error, all others those of the kubeconfig.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body []byte) (*http.Response, error) {
	send := func(with *credentials) (*http.Response, error) {
		request, err := c.request(ctx, method, path, contentType, body)
		if err != nil {
			return nil, err
		}
		if err := c.user.authorize(request); err != nil {
			return nil, c.renewable(err)
		}
		c.user.impersonate(request)
		return with.send(c.http, request)
	}
	if c.plugin == nil {
		return send(nil)
	}
	brought, err := c.plugin.credentials(ctx)
	if err != nil {
		return nil, err
	}
	response, err := send(brought)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	newer, err := c.plugin.renew(ctx, brought)
	if newer == nil && err == nil {
		return response, nil // The plugin has just returned them.
	}
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	return send(newer)
}

func (c *Client) request(ctx context.Context, method, path, contentType string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("server is not a URL")
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request, nil
}

// renewable adds to ErrRenew what to do.
func (c *Client) renewable(err error) error {
	if errors.Is(err, ErrRenew) {
		return fmt.Errorf("%w: run kubectl --context %s version, which stores a new one in its kubeconfig, then again", err, c.context)
	}
	return err
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

// check finds what client-go, and so the Kubernetes provider, refuses later.
func (u User) check() error {
	if u.Token != "" && u.Username+u.Password != "" {
		return errors.New("the user has a token and a password")
	}
	if u.Exec != nil && u.AuthProvider != nil {
		return errors.New("the user has an exec plugin and an auth-provider")
	}
	if u.Impersonate == "" && (u.ImpersonateUID != "" || len(u.ImpersonateGroups)+len(u.ImpersonateUserExtra) > 0) {
		return errors.New("as-uid, as-groups and as-user-extra need a user in \"as\"")
	}
	return nil
}

// transport connects to the API server, with a client certificate if there is one.
func (c Cluster) transport(certificate, key []byte) (*http.Transport, error) {
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
	if len(certificate) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	proxy := http.ProxyFromEnvironment
	if address, err := url.Parse(c.ProxyURL); err == nil && c.ProxyURL != "" {
		proxy = http.ProxyURL(address)
	}
	// Several requests are sent at once; HTTP/2 uses one connection for them.
	return &http.Transport{
		TLSClientConfig: settings, Proxy: proxy, ForceAttemptHTTP2: true, DisableCompression: c.DisableCompression,
	}, nil
}

// authorize adds the credentials that are not part of the connection and come from no plugin. As in client-go, the token in a
// file takes precedence over one in the kubeconfig, which is older, if the file can be read, and both over an auth-provider.
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
	case u.AuthProvider != nil:
		token, err := u.AuthProvider.idToken(time.Now())
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// impersonate adds the headers for acting as another user.
func (u User) impersonate(request *http.Request) {
	if u.Impersonate == "" {
		return
	}
	request.Header.Set("Impersonate-User", u.Impersonate)
	if u.ImpersonateUID != "" {
		request.Header.Set("Impersonate-Uid", u.ImpersonateUID)
	}
	for _, group := range u.ImpersonateGroups {
		request.Header.Add("Impersonate-Group", group)
	}
	for key, values := range u.ImpersonateUserExtra {
		for _, value := range values {
			request.Header.Add("Impersonate-Extra-"+escapeHeader(key), value)
		}
	}
}

// escapeHeader writes characters that are not allowed in a header's name, and "%", as %XX, which the API server decodes.
func escapeHeader(name string) string {
	const plain = "!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var escaped strings.Builder
	for _, b := range []byte(name) {
		if strings.IndexByte(plain, b) < 0 {
			fmt.Fprintf(&escaped, "%%%02X", b)
			continue
		}
		escaped.WriteByte(b)
	}
	return escaped.String()
}
