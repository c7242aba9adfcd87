//go:build linux

package instances

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// maxBody bounds a request; the largest names some replicas.
const maxBody = 1 << 20

// Handler is the manager's HTTP interface, which imclient speaks.
func (m *Manager) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/instances", func(w http.ResponseWriter, _ *http.Request) { answer(w, m.List(), nil) })
	mux.HandleFunc("POST /v1/replicas", func(w http.ResponseWriter, r *http.Request) { with(w, r, m.StartReplica) })
	mux.HandleFunc("DELETE /v1/replicas/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, m.StopReplica(r.PathValue("name")))
	})
	mux.HandleFunc("DELETE /v1/replicas/{name}/data", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, m.DeleteReplica(r.URL.Query().Get("directory"), r.PathValue("name")))
	})
	mux.HandleFunc("POST /v1/replicas/{name}/backups", func(w http.ResponseWriter, r *http.Request) {
		with(w, r, func(b imclient.Backup) (imclient.Task, error) { return m.Backup(r.PathValue("name"), b) })
	})
	mux.HandleFunc("POST /v1/replicas/{name}/restores", func(w http.ResponseWriter, r *http.Request) {
		with(w, r, func(b imclient.Restore) (imclient.Task, error) { return m.Restore(r.PathValue("name"), b) })
	})
	mux.HandleFunc("POST /v1/replicas/{name}/clones", func(w http.ResponseWriter, r *http.Request) {
		with(w, r, func(b imclient.Clone) (imclient.Task, error) { return m.Clone(r.PathValue("name"), b) })
	})
	mux.HandleFunc("GET /v1/tasks", func(w http.ResponseWriter, r *http.Request) {
		task, err := m.Task(r.URL.Query().Get("id"))
		answer(w, task, err)
	})
	mux.HandleFunc("POST /v1/disks", func(w http.ResponseWriter, r *http.Request) {
		disk, err := m.Disk(r.URL.Query().Get("directory"))
		answer(w, disk, err)
	})
	m.handleEngines(mux)
	return mux
}

func (m *Manager) handleEngines(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/engines", func(w http.ResponseWriter, r *http.Request) { with(w, r, m.StartEngine) })
	mux.HandleFunc("DELETE /v1/engines/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, m.StopEngine(r.PathValue("name")))
	})
	mux.HandleFunc("POST /v1/engines/{name}/replicas", func(w http.ResponseWriter, r *http.Request) {
		with(w, r, func(a imclient.AddReplica) (imclient.Task, error) { return m.AddReplica(r.PathValue("name"), a) })
	})
	mux.HandleFunc("DELETE /v1/engines/{name}/replicas/{replica}", func(w http.ResponseWriter, r *http.Request) {
		e, _, err := m.runningEngine(r.PathValue("name"))
		if err == nil {
			err = e.Remove(r.PathValue("replica"))
		}
		answer(w, nil, err)
	})
	mux.HandleFunc("POST /v1/engines/{name}/size/{size}", func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
		if err != nil {
			answer(w, nil, err)
			return
		}
		task, err := m.Expand(r.PathValue("name"), size)
		answer(w, task, err)
	})
	snapshot := func(remove bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			task, err := m.Snapshot(r.PathValue("name"), r.PathValue("snapshot"), remove)
			answer(w, task, err)
		}
	}
	mux.HandleFunc("POST /v1/engines/{name}/snapshots/{snapshot}", snapshot(false))
	mux.HandleFunc("DELETE /v1/engines/{name}/snapshots/{snapshot}", snapshot(true))
}

// with reads the request's body and answers what the function says.
func with[Q, A any](w http.ResponseWriter, r *http.Request, do func(Q) (A, error)) {
	var request Q
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result, err := do(request)
	answer(w, result, err)
}

func answer(w http.ResponseWriter, result any, err error) {
	switch {
	case errors.Is(err, errNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
	case result == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // a client that is gone gets nothing
	}
}
