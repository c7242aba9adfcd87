// Package kube reads and changes the cluster for the guard: the other side of guard.Reader and guard.Actor.
package kube

import (
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	storagev1client "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// requestTimeout bounds every request: two rounds of reads, and still a step a few seconds after a hung one.
	requestTimeout = 2 * time.Second
	// requestsPerSecond and requestBurst are more than a take-over makes, eight reads and a change at once, and less than a
	// mistake may cost the API server. client-go's own 5 and 10 would hold up a take-over.
	requestsPerSecond = 50
	requestBurst      = 100
)

// Cluster is the API server, as far as the guard uses it: the clients of single groups keep the others out of the binary.
type Cluster struct {
	Core         corev1client.CoreV1Interface
	Coordination coordinationv1client.CoordinationV1Interface
	Storage      storagev1client.StorageV1Interface
	// Dynamic is for Longhorn's kinds.
	Dynamic dynamic.Interface
	// Dates has the API server's time.
	Dates *Dates
}

// Connect prepares to ask the API server of a kubeconfig file, or of the cluster that this pod runs in. It asks nothing yet.
func Connect(kubeconfig, agent string) (*Cluster, error) {
	return connectWithin(kubeconfig, agent, requestTimeout)
}

func connectWithin(kubeconfig, agent string, timeout time.Duration) (*Cluster, error) {
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	dates := &Dates{}
	config.UserAgent = agent
	config.Timeout = timeout
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	// HTTP/2 would keep every request on one connection, and one to an API server on the lost node is found out after 45 s only
	// (client-go pings after 30 s, for 15 s). With HTTP/1.1 a request that times out takes its connection with it.
	config.NextProtos = []string{"http/1.1"}
	config.Wrap(dates.wrap)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("the connection to the API server: %w", err)
	}
	return build(config, client, dates)
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("the cluster that this pod runs in: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s: %w", kubeconfig, err)
	}
	return config, nil
}

func build(config *rest.Config, client *http.Client, dates *Dates) (*Cluster, error) {
	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("the client for core/v1: %w", err)
	}
	coordination, err := coordinationv1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("the client for coordination.k8s.io/v1: %w", err)
	}
	storage, err := storagev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("the client for storage.k8s.io/v1: %w", err)
	}
	others, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("the client for longhorn.io: %w", err)
	}
	return &Cluster{Core: core, Coordination: coordination, Storage: storage, Dynamic: others, Dates: dates}, nil
}
