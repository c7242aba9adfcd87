package standin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// connection is the way to the API server that stands behind every cluster.
type connection struct {
	// kubeconfig is self-contained: what it needed of files is in it.
	kubeconfig []byte
	// server is the URL and authority the certificate authority's PEM.
	server    string
	authority string
	// token, or certificate and key, is what the user of the kubeconfig shows.
	token, certificate, key string
}

// endpoint is the server without its scheme, the way Google gives it.
func (c connection) endpoint() string { return strings.TrimPrefix(c.server, "https://") }

// authority64 is the certificate authority the way both EKS and GKE give it.
func (c connection) authority64() string {
	return base64.StdEncoding.EncodeToString([]byte(c.authority))
}

// SetKubeconfig lets every cluster lead elsewhere, or there with other credentials, from now on: AKS's credentials and
// the command line tools at once, a cluster's endpoint and certificate authority when the engine reads it again.
func (c *Clouds) SetKubeconfig(kubeconfig []byte) error {
	connection, err := readKubeconfig(kubeconfig)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connection = connection
	return c.writeTicket()
}

func readKubeconfig(kubeconfig []byte) (connection, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return connection{}, fmt.Errorf("read kubeconfig: %w", err)
	}
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		return connection{}, fmt.Errorf("read kubeconfig: current context: %w", err)
	}
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return connection{}, fmt.Errorf("read kubeconfig: embed files: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
	if !strings.HasPrefix(cluster.Server, "https://") || len(cluster.CertificateAuthorityData) == 0 {
		return connection{}, errors.New("read kubeconfig: want a server by https and its certificate authority")
	}
	found := connection{server: cluster.Server, authority: string(cluster.CertificateAuthorityData)}
	if user != nil {
		found.token = user.Token
		found.certificate, found.key = string(user.ClientCertificateData), string(user.ClientKeyData)
	}
	if found.token == "" && (found.certificate == "" || found.key == "") {
		return connection{}, errors.New("read kubeconfig: want a user with a token or a client certificate")
	}
	if found.kubeconfig, err = clientcmd.Write(*config); err != nil {
		return connection{}, fmt.Errorf("read kubeconfig: write it self-contained: %w", err)
	}
	return found, nil
}
