package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigOf is the path of the kubeconfig of one of the cluster's own clients.
func (c *Cluster) kubeconfigOf(client string) string {
	return c.path("run", client+".kubeconfig")
}

// kubeconfigs are the paths of the administrator's kubeconfig and of those of the cluster's own clients, by client.
func (c *Cluster) kubeconfigs(s state) map[string]string {
	paths := map[string]string{"admin": c.Kubeconfig()}
	clients := []string{controllerManager, scheduler, standIn}
	if s.real() {
		clients = slices.Concat(clients, []string{cloud, kubeProxy}, nodeNames())
	} else {
		clients = append(clients, kwok)
	}
	if s.Snapshots {
		clients = append(clients, snapshots)
	}
	for _, client := range clients {
		paths[client] = c.kubeconfigOf(client)
	}
	return paths
}

func (c *Cluster) kubeconfigsThere(s state) bool {
	for _, path := range c.kubeconfigs(s) {
		if _, err := os.Stat(path); err != nil {
			return false // and if it is there but unreadable, writing it anew says why
		}
	}
	return true
}

// ensureKubeconfigs writes them unless all of them are there.
func (c *Cluster) ensureKubeconfigs(s state) error {
	if c.kubeconfigsThere(s) {
		return nil
	}
	return c.writeKubeconfigs(s)
}

// forgetKubeconfigs removes them: they name a server that is somewhere else now. They are written once the keys are there.
func (c *Cluster) forgetKubeconfigs(s state) error {
	for _, path := range c.kubeconfigs(s) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove outdated kubeconfig: %w", err)
		}
	}
	return nil
}

// writeKubeconfigs writes them all with the current port.
func (c *Cluster) writeKubeconfigs(s state) error {
	for client, path := range c.kubeconfigs(s) {
		config, err := c.kubeconfig(client, s)
		if err != nil {
			return err
		}
		content, err := clientcmd.Write(*config)
		if err != nil {
			return fmt.Errorf("encode kubeconfig of %s: %w", client, err)
		}
		if err := writeFile(path, content); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig embeds keys instead of naming files: users hand the whole text on as one secret.
func (c *Cluster) kubeconfig(client string, s state) (*clientcmdapi.Config, error) {
	var contents [3][]byte
	holder := client
	if client == snapshots { // It came later, and a key more would make all keys of an old cluster new.
		holder = standIn
	}
	for i, name := range []string{clusterCA + ".crt", holder + ".crt", holder + ".key"} {
		content, err := os.ReadFile(c.path("pki", name))
		if err != nil {
			return nil, fmt.Errorf("read certificate of %s: %w", client, err)
		}
		contents[i] = content
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Context()] = &clientcmdapi.Cluster{
		Server:                   "https://" + s.server(),
		CertificateAuthorityData: contents[0],
		// Between two processes of one machine, compressing takes longer than sending: the schema, which Pulumi's
		// provider reads at each start, arrives after 9 ms instead of 42 (kubernetes/kubernetes#112296).
		DisableCompression: true,
	}
	config.AuthInfos[c.Context()] = &clientcmdapi.AuthInfo{ClientCertificateData: contents[1], ClientKeyData: contents[2]}
	config.Contexts[c.Context()] = &clientcmdapi.Context{Cluster: c.Context(), AuthInfo: c.Context()}
	config.CurrentContext = c.Context()
	return config, nil
}
