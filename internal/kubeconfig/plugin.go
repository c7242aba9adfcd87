package kubeconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	// pluginTimeout bounds a plugin. The slow ones (AWS' CLI, a browser that is logged in already) take seconds.
	pluginTimeout = time.Minute
	// pluginGrace is how long a plugin's child processes may keep its output open after its end.
	pluginGrace = 2 * time.Second
	// maxComplaint is how much of a plugin's standard error an error shows: its end, where the reason is.
	maxComplaint = 600
	// pluginKind is the kind of what a plugin gets and prints.
	pluginKind = "ExecCredential"
	// pluginInfo is the environment variable that passes it to the plugin.
	pluginInfo = "KUBERNETES_EXEC_INFO"
	// pluginExtension is the extension of a cluster that is meant for plugins.
	pluginExtension = "client.authentication.k8s.io/exec"
)

// usesPlugin reports whether the plugin's credentials are used. As in client-go, any others take precedence.
func (u User) usesPlugin() bool {
	return u.Exec != nil && u.Token == "" && u.TokenFile == "" && u.Username == "" && len(u.ClientCertificateData) == 0
}

// check finds what client-go, and so the Kubernetes provider, refuses later.
func (e *Exec) check() error {
	switch {
	case e == nil:
		return nil
	case e.Command == "" || e.APIVersion == "" || e.InteractiveMode == "":
		return errors.New("exec needs command, apiVersion and interactiveMode")
	case e.APIVersion != pluginV1 && e.APIVersion != pluginV1Beta1:
		return fmt.Errorf("exec's apiVersion is neither %s nor %s; a newer version of the plugin writes a newer kubeconfig", pluginV1, pluginV1Beta1)
	case !slices.Contains([]string{"Never", "IfAvailable", "Always"}, e.InteractiveMode):
		return errors.New("exec's interactiveMode is not Never, IfAvailable or Always")
	case slices.ContainsFunc(e.Env, func(item EnvironmentItem) bool { return item.Name == "" }):
		return errors.New("a variable in exec's env has no name")
	}
	return nil
}

// find returns an error that says what to install when the plugin is missing, and one for a plugin that needs a terminal.
func (e *Exec) find() error {
	if e.InteractiveMode == "Always" {
		return errors.New("the credential plugin wants a terminal (interactiveMode Always), and the Kubernetes provider has none")
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

// plugin runs a credential plugin when its credentials are needed, and keeps them.
type plugin struct {
	exec    *Exec
	cluster Cluster

	mu      sync.Mutex
	current *credentials
	// failed is why it returned none. It is not run again: a run may be slow, or open a browser.
	failed error
}

// credentials are those that a plugin returned.
type credentials struct {
	token   string
	expires time.Time    // Zero: not known.
	http    *http.Client // With the returned certificate; nil: there is none.
	// accepted is set once the API server has taken them.
	accepted atomic.Bool
}

// send sends a request with the credentials, if there are any, over own unless they have a client certificate.
func (c *credentials) send(own *http.Client, request *http.Request) (*http.Response, error) {
	if c == nil {
		return own.Do(request)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.http != nil {
		own = c.http
	}
	response, err := own.Do(request)
	if err == nil && response.StatusCode != http.StatusUnauthorized {
		c.accepted.Store(true)
	}
	return response, err
}

// credentials returns those that are there, or runs the plugin.
func (p *plugin) credentials(ctx context.Context) (*credentials, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && (p.current.expires.IsZero() || time.Now().Before(p.current.expires)) {
		return p.current, nil
	}
	return p.runLocked(ctx)
}

// renew runs the plugin again after the API server has refused credentials that it had taken before. It returns nil when
// they were never accepted: the plugin would return the same again.
func (p *plugin) renew(ctx context.Context, refused *credentials) (*credentials, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.current != refused:
		return p.current, p.failed // Another request has renewed them.
	case !refused.accepted.Load():
		return nil, nil
	}
	return p.runLocked(ctx)
}

func (p *plugin) runLocked(ctx context.Context) (*credentials, error) {
	if p.failed != nil {
		return nil, p.failed
	}
	brought, err := p.run(ctx)
	if err != nil {
		err = fmt.Errorf("credential plugin %s: %w", p.exec.Command, err)
		if ctx.Err() == nil {
			p.failed = err
		}
		return nil, err
	}
	p.current = brought
	return brought, nil
}

func (p *plugin) run(ctx context.Context) (*credentials, error) {
	question, err := p.question()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	var answer, complaint bytes.Buffer
	command := exec.CommandContext(ctx, p.exec.Command, p.exec.Args...)
	command.Env = os.Environ()
	for _, item := range p.exec.Env {
		command.Env = append(command.Env, item.Name+"="+item.Value)
	}
	command.Env = append(command.Env, pluginInfo+"="+question)
	command.Stdout, command.Stderr, command.WaitDelay = &answer, &complaint, pluginGrace
	switch err := command.Run(); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("brought no credentials within %s: %w", pluginTimeout, ctx.Err())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, fmt.Errorf("%w%s", err, ending(complaint.String()))
	}
	return p.read(answer.Bytes())
}

// ending is the last part of what a plugin wrote to its standard error, on one line. Its standard output is never
// shown: it contains a credential.
func ending(complaint string) string {
	text := strings.Join(strings.Fields(complaint), " ")
	switch {
	case text == "":
		return ""
	case len(text) > maxComplaint:
		return ": ..." + strings.ToValidUTF8(text[len(text)-maxComplaint:], "")
	}
	return ": " + text
}

// execCredential is what a plugin gets and prints: k8s.io/client-go/pkg/apis/clientauthentication.
type execCredential struct {
	Kind       string      `json:"kind"`
	APIVersion string      `json:"apiVersion"`
	Spec       execSpec    `json:"spec"`
	Status     *execStatus `json:"status,omitempty"`
}

type execSpec struct {
	Cluster     *execCluster `json:"cluster,omitempty"`
	Interactive bool         `json:"interactive"`
}

type execCluster struct {
	Server                   string          `json:"server"`
	TLSServerName            string          `json:"tls-server-name,omitempty"`
	InsecureSkipTLSVerify    bool            `json:"insecure-skip-tls-verify,omitempty"`
	CertificateAuthorityData []byte          `json:"certificate-authority-data,omitempty"`
	ProxyURL                 string          `json:"proxy-url,omitempty"`
	DisableCompression       bool            `json:"disable-compression,omitempty"`
	Config                   json.RawMessage `json:"config"`
}

type execStatus struct {
	ExpirationTimestamp   *time.Time `json:"expirationTimestamp,omitempty"`
	Token                 string     `json:"token,omitempty"`
	ClientCertificateData string     `json:"clientCertificateData,omitempty"`
	ClientKeyData         string     `json:"clientKeyData,omitempty"`
}

func (p *plugin) question() (string, error) {
	question := execCredential{Kind: pluginKind, APIVersion: p.exec.APIVersion}
	if p.exec.ProvideClusterInfo {
		c := p.cluster
		question.Spec.Cluster = &execCluster{
			Server: c.Server, TLSServerName: c.TLSServerName, InsecureSkipTLSVerify: c.InsecureSkipTLSVerify,
			CertificateAuthorityData: c.CertificateAuthorityData, ProxyURL: c.ProxyURL, DisableCompression: c.DisableCompression,
			Config: extension(c.Extensions, pluginExtension),
		}
	}
	text, err := json.Marshal(question)
	if err != nil {
		return "", errors.New("an extension of the cluster in the kubeconfig is not valid")
	}
	return string(text), nil
}

// extension returns an extension of a kubeconfig by its name; nil when there is none.
func extension(list json.RawMessage, name string) json.RawMessage {
	var extensions []struct {
		Name      string          `json:"name"`
		Extension json.RawMessage `json:"extension"`
	}
	if json.Unmarshal(list, &extensions) != nil {
		return nil
	}
	for _, one := range extensions {
		if one.Name == name {
			return one.Extension
		}
	}
	return nil
}

// read takes the credentials out of what a plugin printed, and quotes none of it.
func (p *plugin) read(answer []byte) (*credentials, error) {
	var printed execCredential
	if err := yaml.Unmarshal(answer, &printed); err != nil || printed.Kind != pluginKind {
		return nil, errors.New("what it printed is not an " + pluginKind)
	}
	if printed.APIVersion != p.exec.APIVersion {
		return nil, fmt.Errorf("it printed an %s of another apiVersion than %s, which the kubeconfig asks for", pluginKind, p.exec.APIVersion)
	}
	status := printed.Status
	if status == nil || (status.Token == "" && status.ClientCertificateData == "" && status.ClientKeyData == "") {
		return nil, errors.New("it printed neither a token nor a certificate and its key")
	}
	brought := &credentials{token: status.Token}
	if status.ExpirationTimestamp != nil {
		brought.expires = *status.ExpirationTimestamp
	}
	if status.ClientCertificateData != "" || status.ClientKeyData != "" {
		transport, err := p.cluster.transport([]byte(status.ClientCertificateData), []byte(status.ClientKeyData))
		if err != nil || status.ClientCertificateData == "" {
			return nil, errors.New("it printed a certificate and a key that do not belong together, or only one of them")
		}
		brought.http = &http.Client{Transport: transport}
	}
	return brought, nil
}
