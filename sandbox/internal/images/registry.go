package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// apiPrefix is where the distribution API has everything.
const apiPrefix = "/v2/"

// Serve answers pulls of the images in a directory until the context ends. It knows nothing else: whatever it does not have is
// "not found", so that a node goes on to the registry that the image's name says. Its only line of output has the address.
func Serve(ctx context.Context, dir string, listener net.Listener, out io.Writer) error {
	if _, err := store(dir).index(); err != nil {
		return errors.Join(err, listener.Close())
	}
	if _, err := fmt.Fprintf(out, "serving the images in %s on %s\n", dir, listener.Addr()); err != nil {
		return errors.Join(fmt.Errorf("say where images are served: %w", err), listener.Close())
	}
	server := &http.Server{Handler: Handler(dir), ReadHeaderTimeout: 10 * time.Second}
	ended := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer ended()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve images: %w", err)
	}
	return nil
}

// Handler is the pulling part of the OCI distribution API, as a mirror of all registries: containerd names the one that it
// means in the query's ns. The directory is read at each request, so images that are built later are served too.
func Handler(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry only serves pulls")
			return
		}
		path, found := strings.CutPrefix(request.URL.Path, apiPrefix)
		if !found {
			refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such page")
			return
		}
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
		if path == "" {
			return // The check whether this is a registry.
		}
		store(dir).answer(w, request, path)
	})
}

func (s store) answer(w http.ResponseWriter, request *http.Request, path string) {
	if repository, reference, found := cutLast(path, "/manifests/"); found {
		found, err := s.find(request.URL.Query().Get("ns"), repository, reference)
		if err != nil {
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", err.Error())
			return
		}
		s.send(w, request, found.Digest, string(found.MediaType))
		return
	}
	if _, text, found := cutLast(path, "/blobs/"); found {
		digest, err := v1.NewHash(text) // Also keeps the path inside the directory.
		if err != nil {
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
			return
		}
		s.send(w, request, digest, "application/octet-stream")
		return
	}
	refuse(w, http.StatusNotFound, "UNSUPPORTED", "this registry only serves manifests and blobs")
}

// cutLast cuts around the last separator: a repository's name may contain it, what follows it not.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+len(separator):], true
}

// find looks for an image by its repository's path and a tag or digest. Without a registry the path has to be that of one
// registry's only.
func (s store) find(registry, path, reference string) (v1.Descriptor, error) {
	index, err := s.index()
	if err != nil {
		return v1.Descriptor{}, err
	}
	registries := map[string]v1.Descriptor{}
	for _, candidate := range index.Manifests {
		host, repository, tag := splitName(candidate.Annotations[nameAnnotation])
		isRegistry := registry == "" || registry == host
		if isRegistry && repository == path && (tag == reference || candidate.Digest.String() == reference) {
			registries[host] = candidate
		}
	}
	switch len(registries) {
	case 0:
		return v1.Descriptor{}, fmt.Errorf("there is no %s of %s here", reference, path)
	case 1:
		for _, found := range registries {
			return found, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("%s is a repository of several registries: say which one with ?ns=", path)
}

// splitName splits a reference in full, as the table has them.
func splitName(name string) (registry, repository, tag string) {
	registry, name, _ = strings.Cut(name, "/")
	repository, tag, _ = cutLast(name, ":")
	return registry, repository, tag
}

// send answers with a file; http.ServeContent sees to ranges, lengths and HEAD.
func (s store) send(w http.ResponseWriter, request *http.Request, digest v1.Hash, contentType string) {
	content, err := os.Open(s.blob(digest))
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "there is no "+digest.String()+" here")
		return
	}
	defer func() { _ = content.Close() }()
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("ETag", `"`+digest.String()+`"`)
	http.ServeContent(w, request, "", time.Time{}, content)
}

// refuse answers with the API's form of an error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`+"\n", code, message) // Whoever asked may be gone.
}
