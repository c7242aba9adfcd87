// Package kubeconfig reads, reduces and writes kubeconfigs, and sends requests to the API server of one.
//
// k8s.io/client-go does the same and more, and the tests compare this package's texts and requests with its own. The program
// does not use it and apimachinery because they are a hundred more packages to compile and, at every preview, for Go to check
// (docs/performance.md).
package kubeconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// apiVersion and kind are the only valid ones.
const (
	apiVersion = "v1"
	kind       = "Config"
)

// The protocol of credential plugins. client-go has dropped v1alpha1.
const (
	pluginV1       = "client.authentication.k8s.io/v1"
	pluginV1Beta1  = "client.authentication.k8s.io/v1beta1"
	pluginV1Alpha1 = "client.authentication.k8s.io/v1alpha1"
)

// Config is a kubeconfig: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. What has no field here, such as
// the preferences of kubectl, is left out when it is written.
type Config struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	Clusters       []NamedCluster `json:"clusters"`
	Contexts       []NamedContext `json:"contexts"`
	Users          []NamedUser    `json:"users"`
	CurrentContext string         `json:"current-context"`
}

// NamedCluster is an API server under the name that contexts use.
type NamedCluster struct {
	Name    string  `json:"name"`
	Cluster Cluster `json:"cluster"`
}

// NamedContext is a context under its name.
type NamedContext struct {
	Name    string  `json:"name"`
	Context Context `json:"context"`
}

// NamedUser is a set of credentials under the name that contexts use.
type NamedUser struct {
	Name string `json:"name"`
	User User   `json:"user"`
}

// Cluster has the address of an API server and how to verify it.
type Cluster struct {
	Server                   string          `json:"server"`
	TLSServerName            string          `json:"tls-server-name,omitempty"`
	InsecureSkipTLSVerify    bool            `json:"insecure-skip-tls-verify,omitempty"`
	CertificateAuthority     string          `json:"certificate-authority,omitempty"`
	CertificateAuthorityData []byte          `json:"certificate-authority-data,omitempty"`
	ProxyURL                 string          `json:"proxy-url,omitempty"`
	DisableCompression       bool            `json:"disable-compression,omitempty"`
	Extensions               json.RawMessage `json:"extensions,omitempty"`
}

// Context puts a cluster and a user together.
type Context struct {
	Cluster    string          `json:"cluster"`
	User       string          `json:"user"`
	Namespace  string          `json:"namespace,omitempty"`
	Extensions json.RawMessage `json:"extensions,omitempty"`
}

// User holds credentials. It must not be formatted or logged.
type User struct {
	ClientCertificate     string              `json:"client-certificate,omitempty"`
	ClientCertificateData []byte              `json:"client-certificate-data,omitempty"`
	ClientKey             string              `json:"client-key,omitempty"`
	ClientKeyData         []byte              `json:"client-key-data,omitempty"`
	Token                 string              `json:"token,omitempty"`
	TokenFile             string              `json:"tokenFile,omitempty"`
	Impersonate           string              `json:"as,omitempty"`
	ImpersonateUID        string              `json:"as-uid,omitempty"`
	ImpersonateGroups     []string            `json:"as-groups,omitempty"`
	ImpersonateUserExtra  map[string][]string `json:"as-user-extra,omitempty"`
	Username              string              `json:"username,omitempty"`
	Password              string              `json:"password,omitempty"`
	AuthProvider          *AuthProvider       `json:"auth-provider,omitempty"`
	Exec                  *Exec               `json:"exec,omitempty"`
	Extensions            json.RawMessage     `json:"extensions,omitempty"`
}

// Exec is a program that prints credentials: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
// "client-go credential plugins".
type Exec struct {
	Command            string            `json:"command"`
	Args               []string          `json:"args"`
	Env                []EnvironmentItem `json:"env"`
	APIVersion         string            `json:"apiVersion,omitempty"`
	InstallHint        string            `json:"installHint,omitempty"`
	ProvideClusterInfo bool              `json:"provideClusterInfo"`
	InteractiveMode    string            `json:"interactiveMode,omitempty"`
}

// AuthProvider is what client-go had before plugins; only the name oidc is left. Its configuration holds tokens.
type AuthProvider struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
}

// EnvironmentItem is an environment variable of a plugin.
type EnvironmentItem struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// New returns a kubeconfig with one cluster and one user, all under the same name.
func New(name string, cluster Cluster, user User) *Config {
	return &Config{
		APIVersion: apiVersion, Kind: kind, CurrentContext: name,
		Clusters: []NamedCluster{{Name: name, Cluster: cluster}},
		Contexts: []NamedContext{{Name: name, Context: Context{Cluster: name, User: name}}},
		Users:    []NamedUser{{Name: name, User: user}},
	}
}

// Parse reads a kubeconfig in YAML or JSON. Its errors quote nothing of what it read, which may be a secret.
func Parse(content []byte) (*Config, error) {
	var config Config
	if err := yaml.Unmarshal(content, &config); err != nil {
		return nil, errors.New("it is not YAML, or a field has the wrong type")
	}
	config.setDefaults()
	if config.Kind != kind || config.APIVersion != apiVersion {
		return nil, fmt.Errorf("its kind is not %s, or its apiVersion is not %s", kind, apiVersion)
	}
	if len(names(config.Clusters)) < len(config.Clusters) || len(names(config.Contexts)) < len(config.Contexts) ||
		len(names(config.Users)) < len(config.Users) {
		return nil, errors.New("two clusters, contexts or users in it have the same name")
	}
	return &config, nil
}

// setDefaults fills in client-go's defaults, so that Render writes them explicitly.
func (c *Config) setDefaults() {
	if c.Kind == "" {
		c.Kind = kind
	}
	if c.APIVersion == "" {
		c.APIVersion = apiVersion
	}
	for _, user := range c.Users {
		plugin := user.User.Exec
		// Since v1 of the plugins' protocol this field is required.
		if plugin != nil && plugin.InteractiveMode == "" && (plugin.APIVersion == pluginV1Beta1 || plugin.APIVersion == pluginV1Alpha1) {
			plugin.InteractiveMode = "IfAvailable"
		}
	}
}

// ContextNames returns the names of all contexts, in order.
func (c *Config) ContextNames() []string { return slices.Sorted(maps.Keys(names(c.Contexts))) }

// Select returns a kubeconfig with one context and what it refers to, and makes it the current one.
func (c *Config) Select(name string) (*Config, error) {
	context, found := names(c.Contexts)[name]
	if !found {
		return nil, fmt.Errorf("context %q does not exist", name)
	}
	selected := &Config{APIVersion: c.APIVersion, Kind: c.Kind, CurrentContext: name, Contexts: []NamedContext{context}}
	if wanted := context.Context.Cluster; wanted != "" {
		cluster, found := names(c.Clusters)[wanted]
		if !found {
			return nil, fmt.Errorf("context %q: cluster %q does not exist", name, wanted)
		}
		selected.Clusters = []NamedCluster{cluster}
	}
	if wanted := context.Context.User; wanted != "" {
		user, found := names(c.Users)[wanted]
		if !found {
			return nil, fmt.Errorf("context %q: user %q does not exist", name, wanted)
		}
		selected.Users = []NamedUser{user}
	}
	return selected, nil
}

// Embed puts the content of the certificates and keys that are named as files in their place, so that the text works on
// any machine. Relative names begin at the directory of source, the file that the kubeconfig was read from; at the working
// directory if that is empty. With a source, the paths of a token file, which is renewed, and of a plugin become absolute.
func (c *Config) Embed(source string) error {
	directory := ""
	if source != "" {
		directory = filepath.Dir(source)
	}
	directory, err := filepath.Abs(directory)
	if err != nil {
		return fmt.Errorf("directory of %s: %w", source, err)
	}
	absolute := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(directory, path)
	}
	embed := func(field string, path *string, data *[]byte) error {
		if *path == "" {
			return nil
		}
		if len(*data) > 0 {
			return fmt.Errorf("%s and %s-data are both there", field, field)
		}
		content, err := os.ReadFile(absolute(*path))
		*path, *data = "", content
		return unquoted(field, err)
	}
	var failed []error
	for i := range c.Clusters {
		cluster := &c.Clusters[i].Cluster
		failed = append(failed, embed("certificate-authority", &cluster.CertificateAuthority, &cluster.CertificateAuthorityData))
	}
	for i := range c.Users {
		user := &c.Users[i].User
		failed = append(failed, embed("client-certificate", &user.ClientCertificate, &user.ClientCertificateData),
			embed("client-key", &user.ClientKey, &user.ClientKeyData))
		if source == "" {
			continue // A secret's text has no file that its paths are relative to.
		}
		user.TokenFile = absolute(user.TokenFile)
		if user.Exec != nil && strings.ContainsRune(user.Exec.Command, filepath.Separator) { // Otherwise it is on the PATH.
			plugin := *user.Exec
			plugin.Command = absolute(plugin.Command)
			user.Exec = &plugin
		}
	}
	return errors.Join(failed...)
}

// unquoted names the field that a file was named in and why it could not be read, but not the file: without "-data" the field
// may hold the credential itself.
func unquoted(field string, err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s names a file that cannot be read: %w", field, failed.Err)
	}
	return err
}

// Render returns the kubeconfig as YAML. Equal ones yield equal texts.
func (c *Config) Render() (string, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", errors.New("write kubeconfig: an extension in it is not valid") // The cause could quote a credential.
	}
	return string(text), nil
}

// named is an entry of one of a kubeconfig's three lists.
type named interface{ label() string }

func (n NamedCluster) label() string { return n.Name }
func (n NamedContext) label() string { return n.Name }
func (n NamedUser) label() string    { return n.Name }

func names[N named](list []N) map[string]N {
	byName := make(map[string]N, len(list))
	for _, one := range list {
		byName[one.label()] = one
	}
	return byName
}
