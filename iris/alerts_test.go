package iris

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

type monitor struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct {
			Port string `json:"port"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// objectOf reads an object of a kind that has no Go type here.
func objectOf[T any](t *testing.T, objects []manifest, kind, name string) T {
	t.Helper()
	var typed T
	for _, one := range objects {
		if one.kind != kind || one.name != name {
			continue
		}
		content, err := json.Marshal(one.object)
		if err == nil {
			err = json.Unmarshal(content, &typed)
		}
		if err != nil {
			t.Fatalf("read %s %s: %v", kind, name, err)
		}
		return typed
	}
	t.Fatalf("there is no %s %s", kind, name)
	return typed
}

func TestAlerts_AreThoseThatTheStackHasMetricsFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change        func(*Config)
		with, without []string
	}{
		"all":         {func(*Config) {}, []string{"HaIrisVolumeDegraded", "HaIrisBackupTooOld", "HaIrisTookOver", "HaIrisConsistentBackupFailed"}, nil},
		"verified":    {verified(agentImage), []string{"HaIrisVerificationFailed", "HaIrisVerificationTooOld"}, nil},
		"unverified":  {func(*Config) {}, nil, []string{"Verification", "kube_cronjob"}},
		"no daily":    {func(c *Config) { c.Backups = Backups{} }, []string{"HaIrisBackupFailed"}, []string{"kube_job"}},
		"no backups":  {func(c *Config) { c.BackupInterval, c.Backups = 0, Backups{} }, []string{"HaIrisVolumeDegraded"}, []string{"Backup"}},
		"no guard":    {func(c *Config) { c.Failover.Mode = FailoverLonghorn }, []string{"HaIrisBackupTooOld"}, []string{"Guard", "ha_iris"}},
		"no image":    {func(c *Config) { c.Failover.Image = "" }, []string{"HaIrisBackupFailed"}, []string{"Guard", "kube_job"}},
		"own storage": {func(c *Config) { c.LonghornNamespace, c.BackupInterval = "", 0 }, []string{"HaIrisVolumeFilling"}, []string{"longhorn"}},
		"restored": {
			func(c *Config) { c.Generation, c.RestoreFrom.Snapshot = 2, "before" }, []string{`pvc="iris-pvc-2"`}, []string{`"iris-pvc"`},
		},
		"namespace": {func(c *Config) { c.Namespace = "orders" }, []string{`namespace="orders"`}, []string{`namespace="iris"`}},
	} {
		cfg := community(backedUp(agentImage), watched, test.change)
		text := fmt.Sprintf("%+v\n%+v", cfg.alerts(), cfg.panels())
		for _, part := range test.with {
			if !strings.Contains(text, part) {
				t.Errorf("%s: nothing about %s", name, part)
			}
		}
		for _, part := range test.without {
			if strings.Contains(text, part) {
				t.Errorf("%s: something about %s", name, part)
			}
		}
	}
}

// The page's table is what somebody looks an alert up in. That the runbooks' headings exist is checked in test/docs.
func TestAlerts_SayWhatToDoAndAreInTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions := template.FuncMap{"humanizePercentage": func(any) string { return "" }, "humanizeDuration": func(any) string { return "" }}
	seen := map[string]bool{}
	for _, one := range community(verified(agentImage), watched).alerts() {
		if seen[one.name] {
			t.Errorf("%s: twice", one.name)
		}
		seen[one.name] = true
		if !strings.Contains(string(page), "`"+one.name+"`") {
			t.Errorf("docs/operations.md does not say what %s means", one.name)
		}
		if one.summary == "" || one.next == "" || !strings.HasPrefix(one.runbook, "docs/") || one.severity != alertCritical && one.severity != alertWarning {
			t.Errorf("%s: incomplete: %+v", one.name, one)
		}
		// As Prometheus defines them before each template.
		text := "{{$labels := .Labels}}{{$value := .Value}}" + one.summary + one.next
		if _, err := template.New(one.name).Funcs(functions).Parse(text); err != nil {
			t.Errorf("%s: %v", one.name, err)
		}
	}
	for _, row := range strings.Split(string(page), "`") {
		if strings.HasPrefix(row, "HaIris") && !seen[row] {
			t.Errorf("docs/operations.md says what %s means, which does not exist", row)
		}
	}
}

func TestAlerts_HideHowOftenBackupsAreMadeWhereThatIsASecret(t *testing.T) {
	t.Parallel()
	hidden := func(c *Config) { c.BackupIntervalSecret, c.Backups.Secret, c.Verifications.Secret = true, true, true }
	cfg := community(verified(agentImage), watched, hidden)
	overdue := fmt.Sprint(2*7*24*60*60 + cfg.verifyDeadline())
	for _, object := range manifests(t, mustRun(t, cfg)) {
		if text := toYAML(t, []manifest{object}); strings.Contains(text, "1800") || strings.Contains(text, overdue) {
			t.Errorf("%s %s shows it", object.kind, object.name)
		}
	}
}

// Prometheus finds a Service by its labels, and the port by its name; the policies must let it in there.
func TestServiceMonitors_FindTheServicesAndAreLetIn(t *testing.T) {
	t.Parallel()
	objects := manifests(t, mustRun(t, community(backedUp(agentImage), watched)))
	for name, policy := range map[string]string{serviceName: deploymentName, guardName: guardName} {
		found := objectOf[monitor](t, objects, "ServiceMonitor", name)
		service := decode[corev1.Service](t, objects, "Service", name)
		for key, value := range found.Spec.Selector.MatchLabels {
			if service.Labels[key] != value {
				t.Errorf("ServiceMonitor %s wants %s=%s; the Service has %q", name, key, value, service.Labels[key])
			}
		}
		if found.Metadata.Labels["release"] != "kube-prometheus-stack" || found.Metadata.Labels["app.kubernetes.io/part-of"] != "ha-iris" {
			t.Errorf("ServiceMonitor %s has the labels %v", name, found.Metadata.Labels)
		}
		port := int32(0)
		for _, one := range service.Spec.Ports {
			if one.Name == found.Spec.Endpoints[0].Port {
				port = one.Port
			}
		}
		admitted := false
		for _, rule := range decode[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy", policy).Spec.Ingress {
			for _, peer := range rule.From {
				admitted = admitted || peer.NamespaceSelector != nil && peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] == "monitoring" &&
					slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntVal == port })
			}
		}
		if port == 0 || !admitted {
			t.Errorf("ServiceMonitor %s: port %d, let in: %v", name, port, admitted)
		}
	}
	for _, object := range manifests(t, mustRun(t, community(guardedBy(agentImage)))) {
		if object.kind == "ServiceMonitor" || object.kind == "PrometheusRule" || object.name == dashboardName {
			t.Errorf("%s %s was not asked for", object.kind, object.name)
		}
	}
}

// board is what Grafana reads of a dashboard.
type board struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct{ Name, Type, Query string } `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID         int `json:"id"`
		GridPos    struct{ X, Y, W, H int }
		Datasource struct{ UID string }
		Targets    []struct {
			Expr, RefID string
			Datasource  struct{ UID string }
		}
	} `json:"panels"`
}

func boardOf(t *testing.T, cfg Config) board {
	t.Helper()
	found := decode[corev1.ConfigMap](t, manifests(t, mustRun(t, cfg)), "ConfigMap", dashboardName)
	if found.Labels["grafana_dashboard"] != "1" || len(found.Data) != 1 {
		t.Fatalf("got labels %v and %d files", found.Labels, len(found.Data))
	}
	var read board
	for name, text := range found.Data {
		if err := json.Unmarshal([]byte(text), &read); err != nil || !strings.HasSuffix(name, ".json") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return read
}

func TestDashboard_IsWhatGrafanaTakes(t *testing.T) {
	t.Parallel()
	cfg := community(backedUp(agentImage), watched)
	got := boardOf(t, cfg)
	if len(got.UID) > 40 || got.UID == "" || got.Title == "" {
		t.Errorf("uid %q, title %q", got.UID, got.Title)
	}
	if again := boardOf(t, cfg); again.UID != got.UID {
		t.Errorf("the uid is %s and then %s", got.UID, again.UID)
	}
	if other := boardOf(t, community(backedUp(agentImage), watched, func(c *Config) { c.Namespace = "orders" })); other.UID == got.UID {
		t.Error("another stack has the same uid")
	}
	if list := got.Templating.List; len(list) != 1 || list[0].Name != "datasource" || list[0].Type != "datasource" || list[0].Query != "prometheus" {
		t.Errorf("variables %v", list)
	}
	ids, taken := map[int]bool{}, map[[2]int]int{}
	for _, panel := range got.Panels {
		if ids[panel.ID] || len(panel.Targets) == 0 {
			t.Errorf("panel %d: twice, or it asks nothing", panel.ID)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			if target.Expr == "" || target.RefID == "" || target.Datasource.UID != "${datasource}" {
				t.Errorf("panel %d asks %+v", panel.ID, target)
			}
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if by := taken[[2]int{x, y}]; by != 0 || x >= 24 {
					t.Errorf("panel %d is where %d is, or outside, at %d %d", panel.ID, by, x, y)
				}
				taken[[2]int{x, y}] = panel.ID
			}
		}
	}
	if len(ids) < 10 {
		t.Errorf("only %d panels", len(ids))
	}
}

func TestValidate_RefusesTheWatching(t *testing.T) {
	t.Parallel()
	labelled := func(key, value string) func(*Config) {
		return func(c *Config) { watched(c); c.MonitoringLabels = map[string]string{key: value} }
	}
	mistakes{
		`iris.alerts: got true, want false, or iris.metrics serviceMonitor`:    func(c *Config) { c.Alerts = true },
		`iris.dashboard: got true, want false, or iris.metrics serviceMonitor`: func(c *Config) { c.Dashboard = true },
		`iris.monitoringLabels: got "release", want none, or iris.metrics`: func(c *Config) {
			c.MonitoringLabels = map[string]string{"release": "x"}
		},
		`iris.monitoringLabels: got "no good", want label keys`:                labelled("no good", "x"),
		`iris.monitoringLabels: got "Example.com/x", want label keys`:          labelled("Example.com/x", "x"),
		`iris.monitoringLabels: got "app.kubernetes.io/name", want other keys`: labelled("app.kubernetes.io/name", "x"),
		`iris.monitoringLabels.release: got "-x", want a label's value`:        labelled("release", "-x"),
	}.areRefused(t)
	if err := community(backedUp(agentImage), watched).Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
}
