package iris

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/internal/survey"
)

// Whoever may do nothing is told of every kind of object that this package makes.
func TestNeeds_NameTheRightsToEveryObject(t *testing.T) {
	t.Parallel()
	both := editions()["licensed"]
	backedUp(agentImage)(&both)
	watched(&both)
	for name, cfg := range map[string]Config{"everything": both, "backups without the guard": editions()["backed-up"]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namesTheRights(t, cfg)
		})
	}
}

func namesTheRights(t *testing.T, cfg Config) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"allowed": false}})
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	client, err := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{Token: "x"}).Client()
	if err != nil {
		t.Fatal(err)
	}
	cluster := &live.Cluster{}
	cluster.Use("text", client)
	found, err := survey.Look(t.Context(), cluster, survey.Needs{
		Database: cfg.Needs(), Storage: survey.Storage{Install: true, Namespace: cfg.LonghornNamespace},
	})
	if err != nil || len(found.Blocking) == 0 {
		t.Fatalf("got %v, %v", found, err)
	}
	said := found.Blocking[len(found.Blocking)-1].Error() + ", "
	for _, one := range manifests(t, mustRun(t, cfg)) {
		plural := strings.ToLower(one.kind) + "s"
		plural = strings.Replace(strings.Replace(plural, "ys", "ies", 1), "sss", "sses", 1)
		for _, verb := range []string{"get", "create", "patch"} {
			if !strings.Contains(said, " "+verb+" "+plural) {
				t.Errorf("not a word of %s %s:\n%s", verb, plural, said)
			}
		}
	}
}
