package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ha-iris/agent/internal/alive"
)

// portName is the guards' port that answers, as the Service calls it.
const portName = "alive"

// endpointSlices is what counts of a list of EndpointSlices.
type endpointSlices struct {
	Kind  string          `json:"kind"`
	Items []endpointSlice `json:"items"`
}

type endpointSlice struct {
	AddressType string `json:"addressType"`
	Endpoints   []struct {
		Addresses  []string `json:"addresses"`
		NodeName   *string  `json:"nodeName"`
		Conditions struct {
			Terminating *bool `json:"terminating"`
		} `json:"conditions"`
	} `json:"endpoints"`
	Ports []struct {
		Name *string `json:"name"`
		Port *int    `json:"port"`
	} `json:"ports"`
}

// peer is the address of a guard, with the port, and whether its pod is being deleted.
type peer struct {
	address     string
	terminating bool
}

// guards returns the guards on other nodes, sorted. One that is not ready counts too: whether it answers is
// asked of itself, and during a fault readiness is the last thing to rely on.
func (a *apiServer) guards(ctx context.Context, namespace, service, node string) ([]peer, error) {
	path := a.address.JoinPath("apis", "discovery.k8s.io", "v1", "namespaces", namespace, "endpointslices")
	path.RawQuery = url.Values{"labelSelector": {"kubernetes.io/service-name=" + service}}.Encode()
	code, body, err := a.get(ctx, path, "application/json")
	if err != nil {
		return nil, fmt.Errorf("list the guards: %w", err)
	}
	var list endpointSlices
	if err := json.Unmarshal(body, &list); code != http.StatusOK || err != nil || list.Kind != "EndpointSliceList" {
		return nil, errors.Join(fmt.Errorf("list the guards: %d %s, kind %q", code, hint(code), list.Kind), err)
	}
	return list.others(node), nil
}

// others are the endpoints that are not on the node.
func (l endpointSlices) others(node string) []peer {
	peers := []peer{}
	for _, slice := range l.Items {
		if slice.AddressType == "FQDN" {
			continue // DNS goes with the network.
		}
		for _, port := range slice.Ports {
			if port.Name == nil || *port.Name != portName || port.Port == nil {
				continue
			}
			peers = append(peers, slice.at(*port.Port, node)...)
		}
	}
	slices.SortFunc(peers, func(a, b peer) int { return strings.Compare(a.address, b.address) })
	return slices.CompactFunc(peers, func(a, b peer) bool { return a.address == b.address })
}

// at returns the endpoints that are not on the node.
func (s endpointSlice) at(port int, node string) []peer {
	var peers []peer
	for _, endpoint := range s.Endpoints {
		if endpoint.NodeName != nil && *endpoint.NodeName == node {
			continue
		}
		ends := endpoint.Conditions.Terminating
		for _, address := range endpoint.Addresses {
			peers = append(peers, peer{net.JoinHostPort(address, strconv.Itoa(port)), ends != nil && *ends})
		}
	}
	return peers
}

// guards asks the guards on other nodes.
type guards struct {
	node   string
	client *http.Client
}

func newGuards(node string, timeout time.Duration) *guards {
	return &guards{node: node, client: plainClient(timeout, nil)}
}

// ask returns what a guard on another node says of this node. Addresses are given again: another program there does not count, nor does a
// guard on this node. The guard is told whether the API server answered the round before: if so, its word is not what the database goes on by.
func (g *guards) ask(ctx context.Context, address string, reachesAPIServer bool) (alive.Says, error) {
	query := alive.Question(g.node, reachesAPIServer).Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+alive.Path+"?"+query, nil)
	if err != nil {
		return "", fmt.Errorf("ask the guard at %s: %w", address, err)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask the guard at %s: %w", address, err)
	}
	defer func() { _ = response.Body.Close() }()
	const enough = 4 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return "", fmt.Errorf("read the answer of the guard at %s: %w", address, err)
	}
	var said alive.Answer
	if err := json.Unmarshal(body, &said); err != nil || response.StatusCode != http.StatusOK {
		return "", errors.Join(fmt.Errorf("%s is no guard: %d", address, response.StatusCode), err)
	}
	if said.Node == "" || said.Node == g.node {
		return "", fmt.Errorf("at %s: got node %q, want another one than %q", address, said.Node, g.node)
	}
	return said.Says, nil
}

// vouching has, for each guard, whether its word lets the database go on: it says that the node is not lost, or all that are known say that
// they do not reach the API server either, so that nobody can take over. One that is silent may be where somebody can.
func vouching(said []alive.Says) []bool {
	cut := !slices.ContainsFunc(said, func(one alive.Says) bool { return one != alive.Cut })
	vouch := make([]bool, len(said))
	for i, one := range said {
		vouch[i] = one == alive.Reachable || cut
	}
	return vouch
}
