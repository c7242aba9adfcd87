// Package fakeapi is an API server in memory, for tests: objects of any kind, lists, watches, merge patches and evictions. It has
// no controllers; a test plays them.
package fakeapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Object is one object's JSON.
type Object = map[string]any

// Server is the API server.
type Server struct {
	// Deleted is called, without a lock, when somebody deletes or evicts an object. Nil: it is gone at once.
	Deleted func(resource, namespace, name string)
	// Exec runs commands. Nil: there are no containers.
	Exec Exec
	// Refuse answers a request instead, if it returns a status above 0.
	Refuse func(method, path string) (status int, message string)

	server   *httptest.Server
	mu       sync.Mutex
	objects  map[string]Object
	version  int
	watchers map[chan change]string
}

type change struct {
	kind   string
	object Object
}

// New starts a server.
func New(t *testing.T) *Server {
	t.Helper()
	s := &Server{objects: map[string]Object{}, watchers: map[chan change]string{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Break() // Watches never end by themselves.
		s.server.Close()
	})
	return s
}

// Config leads to the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.server.URL} }

// Kubeconfig leads to the server, under the context "fake".
func (s *Server) Kubeconfig() string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "fake",
		"contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
		"clusters": [{"name": "fake", "cluster": {"server": %q}}], "users": [{"name": "fake", "user": {"token": "hunter2"}}]}`, s.server.URL)
}

// Break ends all connections, watches among them.
func (s *Server) Break() { s.server.CloseClientConnections() }

// Watching is how many watches there are.
func (s *Server) Watching() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

// Put makes or replaces an object.
func (s *Server) Put(resource string, object Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key(resource, namespaceOf(object), nameOf(object)), object)
}

// Edit changes an object.
func (s *Server) Edit(resource, namespace, name string, edit func(object Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object, found := s.objects[key(resource, namespace, name)]; found {
		object = clone(object)
		edit(object)
		s.put(key(resource, namespace, name), object)
	}
}

// Remove takes an object away.
func (s *Server) Remove(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key(resource, namespace, name))
}

// Get returns an object, or nil.
func (s *Server) Get(resource, namespace, name string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object, found := s.objects[key(resource, namespace, name)]; found {
		return clone(object)
	}
	return nil
}

func key(resource, namespace, name string) string { return resource + "/" + namespace + "/" + name }

func (s *Server) put(at string, object Object) {
	_, existed := s.objects[at]
	s.version++
	object = clone(object)
	metadata(object)["resourceVersion"] = strconv.Itoa(s.version)
	if metadata(object)["uid"] == nil {
		metadata(object)["uid"] = "uid-" + strconv.Itoa(s.version)
	}
	s.objects[at] = object
	kind := "ADDED"
	if existed {
		kind = "MODIFIED"
	}
	s.tell(at, change{kind, clone(object)})
}

func (s *Server) remove(at string) {
	if object, found := s.objects[at]; found {
		delete(s.objects, at)
		s.tell(at, change{"DELETED", clone(object)})
	}
}

func (s *Server) tell(at string, what change) {
	for watcher, prefix := range s.watchers {
		if strings.HasPrefix(at, prefix) {
			watcher <- what
		}
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Refuse != nil {
		if status, message := s.Refuse(r.Method, r.URL.Path); status > 0 {
			fail(w, status, message)
			return
		}
	}
	resource, namespace, name, sub := split(r.URL.Path)
	at := key(resource, namespace, name)
	switch {
	case sub == "eviction":
		s.evict(w, resource, namespace, name)
	case sub == "exec":
		s.execute(w, r, name)
	case sub != "":
		fail(w, http.StatusNotFound, "there is no "+sub)
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") == "true":
		s.watch(w, r, resource+"/"+prefixed(namespace))
	case r.Method == http.MethodGet && name == "":
		s.list(w, r, resource+"/"+prefixed(namespace))
	case r.Method == http.MethodGet:
		s.answer(w, at)
	case r.Method == http.MethodDelete:
		s.delete(w, r, at, resource, namespace, name)
	default:
		s.write(w, r, resource, namespace, at)
	}
}

func prefixed(namespace string) string {
	if namespace == "" {
		return ""
	}
	return namespace + "/"
}

// split reads /api/v1/... and /apis/GROUP/VERSION/...
func split(path string) (resource, namespace, name, sub string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	skip := 2
	if parts[0] == "apis" {
		skip = 3
	}
	parts = parts[min(skip, len(parts)):]
	if len(parts) >= 3 && parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	parts = append(parts, "", "", "")
	return parts[0], namespace, parts[1], parts[2]
}

func (s *Server) answer(w http.ResponseWriter, at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, found := s.objects[at]
	if !found {
		fail(w, http.StatusNotFound, at+" not found")
		return
	}
	reply(w, http.StatusOK, object)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []any{}
	for _, at := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(at, prefix) && selected(s.objects[at], r.URL.Query().Get("labelSelector")) {
			items = append(items, s.objects[at])
		}
	}
	reply(w, http.StatusOK, Object{
		"apiVersion": "v1", "kind": "List", "metadata": Object{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

func selected(object Object, selector string) bool {
	name, value, found := strings.Cut(selector, "=")
	labels, _ := metadata(object)["labels"].(Object)
	return !found || labels[name] == value
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, prefix string) {
	changes := make(chan change, 1000) // More than a test makes.
	s.mu.Lock()
	s.watchers[changes] = prefix
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, changes)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flusher, _ := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case one := <-changes:
			if selected(one.object, r.URL.Query().Get("labelSelector")) {
				_ = json.NewEncoder(w).Encode(Object{"type": one.kind, "object": one.object}) // The client has gone.
				flusher.Flush()
			}
		}
	}
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, at, resource, namespace, name string) {
	var options struct {
		Preconditions struct {
			UID string `json:"uid"`
		} `json:"preconditions"`
	}
	_ = json.NewDecoder(r.Body).Decode(&options) // It may be empty.
	s.mu.Lock()
	object, found := s.objects[at]
	s.mu.Unlock()
	switch wanted := options.Preconditions.UID; {
	case !found:
		fail(w, http.StatusNotFound, at+" not found")
		return
	case wanted != "" && wanted != metadata(object)["uid"]:
		fail(w, http.StatusConflict, "another UID")
		return
	}
	s.goes(resource, namespace, name)
	reply(w, http.StatusOK, object)
}

func (s *Server) evict(w http.ResponseWriter, resource, namespace, name string) {
	s.goes(resource, namespace, name)
	reply(w, http.StatusCreated, Object{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": Object{"name": name}})
}

func (s *Server) goes(resource, namespace, name string) {
	if s.Deleted == nil || resource != "pods" {
		s.Remove(resource, namespace, name)
		return
	}
	s.Edit(resource, namespace, name, func(object Object) {
		metadata(object)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	})
	s.Deleted(resource, namespace, name)
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, resource, namespace, at string) {
	var body Object
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		at = key(resource, namespace, nameOf(body))
	}
	current, found := s.objects[at]
	switch {
	case r.Method == http.MethodPost && found:
		failAs(w, http.StatusConflict, "AlreadyExists", at+" exists")
		return
	case r.Method != http.MethodPost && !found:
		fail(w, http.StatusNotFound, at+" not found")
		return
	case r.Method == http.MethodPut && metadata(body)["resourceVersion"] != metadata(current)["resourceVersion"]:
		fail(w, http.StatusConflict, "another version")
		return
	case r.Method == http.MethodPatch:
		body = merge(clone(current), body)
	}
	s.put(at, body)
	reply(w, http.StatusOK, s.objects[at])
}

// merge is RFC 7396's.
func merge(into, patch Object) Object {
	for name, value := range patch {
		inner, isObject := value.(Object)
		switch {
		case value == nil:
			delete(into, name)
		case isObject:
			old, _ := into[name].(Object)
			if old == nil {
				old = Object{}
			}
			into[name] = merge(old, inner)
		default:
			into[name] = value
		}
	}
	return into
}

func metadata(object Object) Object {
	found, _ := object["metadata"].(Object)
	if found == nil {
		found = Object{}
		object["metadata"] = found
	}
	return found
}

func nameOf(object Object) string {
	name, _ := metadata(object)["name"].(string)
	return name
}

func namespaceOf(object Object) string {
	namespace, _ := metadata(object)["namespace"].(string)
	return namespace
}

func clone(object Object) Object {
	text, err := json.Marshal(object)
	if err != nil {
		return Object{}
	}
	var copied Object
	_ = json.Unmarshal(text, &copied) // It was made a moment ago.
	return copied
}

func reply(w http.ResponseWriter, status int, object Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object) // The client has gone.
}

func fail(w http.ResponseWriter, status int, message string) {
	failAs(w, status, map[int]string{http.StatusNotFound: "NotFound", http.StatusConflict: "Conflict"}[status], message)
}

func failAs(w http.ResponseWriter, status int, reason, message string) {
	reply(w, status, Object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status,
	})
}
