package images

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// someImages writes an image of one layer for each name.
func someImages(t *testing.T, names ...string) (string, map[string]v1.Image) {
	t.Helper()
	dir, images := t.TempDir(), map[string]v1.Image{}
	var products []product
	for _, name := range names {
		image, err := random.Image(1000, 1)
		if err != nil {
			t.Fatal(err)
		}
		images[name] = image
		products = append(products, product{recipe{names: []string{name}}, image})
	}
	if err := store(dir).write(products, "inputs"); err != nil {
		t.Fatal(err)
	}
	return dir, images
}

// mirrored asks as containerd asks a mirror: with the registry that it means in ns.
type mirrored string

func (m mirrored) RoundTrip(request *http.Request) (*http.Response, error) {
	if m != "" {
		request = request.Clone(request.Context())
		request.URL.RawQuery = "ns=" + string(m)
	}
	return http.DefaultTransport.RoundTrip(request)
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestHandler_ServesPulls(t *testing.T) {
	t.Parallel()
	dir, images := someImages(t, "docker.io/library/one:1", "quay.io/library/one:1", "docker.io/two:2")
	server := httptest.NewServer(Handler(dir))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	hub, quay, two := images["docker.io/library/one:1"], images["quay.io/library/one:1"], images["docker.io/two:2"]
	cases := map[string]struct {
		reference, ns string
		want          v1.Image
	}{
		"tag, from Docker Hub":       {"library/one:1", "docker.io", hub},
		"tag, from another registry": {"library/one:1", "quay.io", quay},
		"tag, from neither":          {"library/one:1", "ghcr.io", nil},
		"tag, from anywhere":         {"library/one:1", "", nil},
		"digest":                     {"library/one@" + digestOf(t, quay), "quay.io", quay},
		"digest of another registry": {"library/one@" + digestOf(t, quay), "docker.io", nil},
		"one registry only":          {"two:2", "", two},
		"unknown tag":                {"two:3", "docker.io", nil},
		"unknown repository":         {"three:2", "docker.io", nil},
	}
	for title, test := range cases {
		t.Run(title, func(t *testing.T) {
			reference, err := name.ParseReference(host+"/"+test.reference, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			got, err := remote.Image(reference, remote.WithTransport(mirrored(test.ns)), remote.WithContext(t.Context()))
			if test.want == nil {
				if err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(got); err != nil || digestOf(t, got) != digestOf(t, test.want) {
				t.Errorf("got another image, or %v", err)
			}
		})
	}
}

func TestHandler_KeepsTheProtocol(t *testing.T) {
	t.Parallel()
	dir, images := someImages(t, "docker.io/two:2")
	manifest, err := images["docker.io/two:2"].Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layer := manifest.Layers[0]
	server := httptest.NewServer(Handler(dir))
	defer server.Close()
	blob := "/v2/two/blobs/" + layer.Digest.String()
	cases := map[string]struct {
		method, path, within string
		status               int
		length               int64
	}{
		"is it a registry": {http.MethodGet, "/v2/", "", 200, 0},
		"HEAD of a tag":    {http.MethodHead, "/v2/two/manifests/2?ns=docker.io", "", 200, -2},
		"HEAD of a blob":   {http.MethodHead, blob, "", 200, layer.Size},
		"blob":             {http.MethodGet, blob, "", 200, layer.Size},
		"part of a blob":   {http.MethodGet, blob, "bytes=10-29", 206, 20},
		"unknown blob":     {http.MethodGet, "/v2/two/blobs/sha256:" + strings.Repeat("0", 64), "", 404, -2},
		"no digest":        {http.MethodGet, "/v2/two/blobs/sha256:..%2f..%2findex.json", "", 400, -2},
		"push":             {http.MethodPost, "/v2/two/blobs/uploads/", "", 405, -2},
		"overwrite":        {http.MethodPut, "/v2/two/manifests/2", "", 405, -2},
		"list of tags":     {http.MethodGet, "/v2/two/tags/list", "", 404, -2},
		"page":             {http.MethodGet, "/index.json", "", 404, -2},
	}
	for title, test := range cases {
		t.Run(title, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if test.within != "" {
				request.Header.Set("Range", test.within)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || test.length != -2 && response.ContentLength != test.length {
				t.Errorf("got %s, %d bytes, %v: %.200s", response.Status, response.ContentLength, err, body)
			}
		})
	}
}

func TestServe_EndsWithItsContextAndNeedsImages(t *testing.T) {
	t.Parallel()
	dir, _ := someImages(t, "docker.io/two:2")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, dir, listener, io.Discard) }()
	response, err := http.Get(fmt.Sprintf("http://%s/v2/two/manifests/2?ns=docker.io", listener.Addr()))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", response, err)
	}
	_ = response.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
	if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), t.TempDir(), listener, io.Discard); err == nil || !strings.Contains(err.Error(), "list of images") {
		t.Errorf("without images: got %v", err)
	}
}

func TestStore_DeletesWhatNoImageHas(t *testing.T) {
	t.Parallel()
	dir, images := someImages(t, "docker.io/one:1")
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := store(dir).write([]product{{recipe{names: []string{"docker.io/one:1"}}, image}}, "others"); err != nil {
		t.Fatal(err)
	}
	blobs, err := os.ReadDir(dir + "/blobs/sha256")
	if err != nil || len(blobs) != 3 {
		t.Errorf("got %d files, %v; want a manifest, a configuration and a layer", len(blobs), err)
	}
	if old, err := images["docker.io/one:1"].Digest(); err != nil || exists(store(dir).blob(old)) {
		t.Errorf("the old manifest is still there, or %v", err)
	}
	if _, err := store(dir).images("inputs"); err == nil {
		t.Error("images of other sources count as current")
	}
}

func TestHostsTOML_NamesNoServer(t *testing.T) {
	t.Parallel()
	got := HostsTOML("10.77.0.1:5000")
	if !strings.Contains(got, "[host.\"http://10.77.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n") || strings.Contains(got, "server =") {
		t.Errorf("got\n%s", got)
	}
}
