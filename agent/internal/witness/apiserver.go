package witness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"ha-iris/agent/internal/fence"
)

// largest bounds an answer; a list of a few guards' addresses and a pod's metadata are some kilobytes.
const largest = 4 << 20

// apiServer asks the API server by HTTP/1.1 alone, without client-go: with HTTP/2 all requests share one connection, and when a
// cut swallows it later requests wait on it for up to 45 s. Here a request that times out takes its connection with it.
type apiServer struct {
	address           *url.URL
	tokenFile, caFile string
	timeout           time.Duration

	mutex  sync.Mutex
	ca     []byte
	client *http.Client
}

// answer is what counts of a Pod's metadata or of a Status.
type answer struct {
	Kind     string `json:"kind"`
	Reason   string `json:"reason"`
	Metadata struct {
		Name              string  `json:"name"`
		UID               string  `json:"uid"`
		DeletionTimestamp *string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Details struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	} `json:"details"`
}

// pod returns what the API server says of a pod, or why it said nothing.
//
// An API server on the same side of a cut as this pod must not count. It has lost etcd's majority, and a read of a single object
// without resourceVersion goes there: only the pod itself (200) and "no such pod" (404, with a Status that names it, which tells it
// from a load balancer's page) prove the read. The others are given without it: 401 and 403 come from caches, 429 from the queue,
// 5xx because the read failed.
//
// A pod that is gone for a minute is told 401, not 404: its token is bound to it. But a token that has expired during a long cut is
// told the same. So 401 is no word, and a database that needs the word stays paused until the kubelet, which hears the same news,
// removes it.
func (a *apiServer) pod(ctx context.Context, namespace, name, uid string) (fence.Word, error) {
	path := a.address.JoinPath("api", "v1", "namespaces", namespace, "pods", name)
	code, body, err := a.get(ctx, path, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json")
	if err != nil {
		return fence.WordUnknown, err
	}
	var said answer
	wrong := json.Unmarshal(body, &said)
	switch {
	case wrong != nil:
	case code == http.StatusOK && said.Metadata.Name == name && said.Metadata.UID != "":
		switch {
		case said.Metadata.UID != uid:
			return fence.WordGone, nil
		case said.Metadata.DeletionTimestamp != nil:
			return fence.WordUnwanted, nil
		}
		return fence.WordWanted, nil
	case code == http.StatusNotFound && said.Kind == "Status" && said.Reason == "NotFound" &&
		said.Details.Kind == "pods" && said.Details.Name == name:
		return fence.WordGone, nil
	}
	return fence.WordUnknown, fmt.Errorf("pod %s/%s: the answer proves nothing: %d %s", namespace, name, code, hint(code))
}

// hint says what to do about an answer that does not count.
func hint(code int) string {
	switch code {
	case http.StatusUnauthorized:
		return "(the token has expired, or this pod is gone)"
	case http.StatusForbidden:
		return "(the ServiceAccount may not get this pod)"
	default:
		return http.StatusText(code)
	}
}

// get asks once.
func (a *apiServer) get(ctx context.Context, address *url.URL, accept string) (int, []byte, error) {
	client, err := a.renewed()
	if err != nil {
		return 0, nil, err
	}
	token, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return 0, nil, fmt.Errorf("read the token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the API server: %w", err)
	}
	request.Header.Set("Accept", accept)
	// A token that is no valid header would be in the error of the request.
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	plain := strings.TrimSpace(string(token))
	if plain == "" || strings.ContainsFunc(plain, odd) {
		return 0, nil, fmt.Errorf("the token in %s: got %d bytes, want one word", a.tokenFile, len(token))
	}
	request.Header.Set("Authorization", "Bearer "+plain)
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the API server: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, largest))
	if err != nil {
		return 0, nil, fmt.Errorf("read the API server's answer: %w", err)
	}
	return response.StatusCode, body, nil
}

// renewed returns the client; another one when the authority's certificate has changed.
func (a *apiServer) renewed() (*http.Client, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.address.Scheme == "http" {
		if a.client == nil {
			a.client = plainClient(a.timeout, nil)
		}
		return a.client, nil
	}
	ca, err := os.ReadFile(a.caFile)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	if a.client != nil && bytes.Equal(ca, a.ca) {
		return a.client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's certificate: no certificate in " + a.caFile)
	}
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
	a.ca, a.client = ca, plainClient(a.timeout, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	return a.client, nil
}

// plainClient speaks HTTP/1.1, follows nobody elsewhere and asks no proxy.
func plainClient(timeout time.Duration, config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:       config,
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{}, // Not nil: no HTTP/2.
			TLSHandshakeTimeout:   timeout,
			ResponseHeaderTimeout: timeout,
			MaxIdleConnsPerHost:   2, // The probe and the list.
			IdleConnTimeout:       time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
