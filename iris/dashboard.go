package iris

import (
	"encoding/json"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	dashboardName = "iris-dashboard"
	// dashboardSchema is the version of Grafana's JSON that this is written in; a newer Grafana converts it.
	dashboardSchema = 39
	// Grafana's grid is 24 wide.
	statWidth, statHeight   = 6, 4
	graphWidth, graphHeight = 12, 8
)

// query is an expression with the text that its series are called by.
type query struct{ expr, legend string }

// panel answers one question.
type panel struct {
	title, kind, unit string
	queries           []query
	// steps are the values from which on the panel has another colour, the first being the lowest.
	steps []step
	// byName shows the series' name instead of its value.
	byName bool
}

type step struct {
	from   float64
	colour string
}

const (
	green, orange, red = "green", "orange", "red"
	stat, graph        = "stat", "timeseries"
)

// goodFrom is red below a value, badFrom orange and red from two others on.
func goodFrom(value float64) []step { return []step{{0, red}, {value, green}} }

func badFrom(soon, late float64) []step { return []step{{0, green}, {soon, orange}, {late, red}} }

// panels are what somebody who is woken up asks first, in that order.
func (c Config) panels() []panel {
	ready := "max(" + c.ofDeployment("kube_deployment_status_replicas_ready") + ")"
	// The Deployment's ReplicaSet is named iris and a hash, the guard's begins with iris-guard-.
	where := fmt.Sprintf("max by (node) (kube_pod_info{namespace=%q,created_by_kind=\"ReplicaSet\",created_by_name=~%q})", c.Namespace,
		deploymentName+"-[^-]+")
	panels := []panel{
		{title: "Ready", kind: stat, queries: []query{{ready, "ready"}}, steps: goodFrom(1)},
		{title: "On node", kind: stat, queries: []query{{where, "{{node}}"}}, byName: true},
		{title: "IRIS' state: 0 green, 1 yellow, 2 red, -1 hung", kind: stat, queries: []query{
			{"max(" + c.ofIRIS("iris_system_state") + ")", "state"},
		}, steps: []step{{-1, red}, {0, green}, {1, orange}, {2, red}}},
		{title: "Volume filled", kind: stat, unit: "percentunit", queries: []query{{c.filled(), "filled"}}, steps: badFrom(0.8, 0.95)},
	}
	panels = append(panels, c.storagePanels()...)
	panels = append(panels, c.guardPanels()...)
	return append(panels,
		panel{title: "Alerts", kind: graph, queries: []query{{
			fmt.Sprintf("sum by (alertname) (ALERTS{namespace=%q,alertname=~\"HaIris.+\",alertstate=\"firing\"})", c.Namespace), "{{alertname}}",
		}}},
		panel{title: "Ready, and where", kind: graph, queries: []query{{ready, "ready"}, {where, "{{node}}"}}},
		panel{title: "Volume filled over time", kind: graph, unit: "percentunit", queries: []query{{c.filled(), "filled"}}},
		panel{title: "Alerts that IRIS has posted since its start", kind: graph, queries: []query{
			{"max(" + c.ofIRIS("iris_system_alerts") + ")", "posted"},
		}},
	)
}

func (c Config) storagePanels() []panel {
	if c.LonghornNamespace == "" {
		return nil
	}
	panels := []panel{{title: "Replicas of the volume", kind: stat, byName: true, queries: []query{
		{"max by (state) (" + c.ofVolume("longhorn_volume_robustness") + ") == 1", "{{state}}"},
	}}}
	if c.BackupInterval > 0 {
		panels = append(panels, panel{
			title: "Since the last backup", kind: stat, unit: "s", queries: []query{{"time() - " + c.lastBackup(), "age"}},
		})
	}
	return panels
}

func (c Config) guardPanels() []panel {
	if !c.Failover.guarded() {
		return nil
	}
	return []panel{
		{title: "Guards that lead", kind: stat, queries: []query{{"sum(" + c.ofGuard("ha_iris_guard_leader") + ")", "lead"}}, steps: goodFrom(1)},
		{title: "Nodes that the guard may not free", kind: stat, queries: []query{
			{"sum(" + c.ofGuard("ha_iris_guard_refusals") + ") or vector(0)", "refused"},
		}, steps: []step{{0, green}, {1, red}}},
		{title: "Take-overs, by the guard that made them", kind: graph, queries: []query{
			{"sum by (pod, result) (" + c.ofGuard("ha_iris_guard_takeovers_total") + ")", "{{pod}} {{result}}"},
		}},
		{title: "Seconds that take-overs took", kind: graph, unit: "s", queries: []query{
			{
				"sum(" + c.ofGuard("ha_iris_guard_takeover_seconds_sum") + ") / sum(" + c.ofGuard("ha_iris_guard_takeover_seconds_count") + ") > 0",
				"on average",
			},
		}},
	}
}

// grafana is the panel in Grafana's JSON, at a place of the grid.
func (p panel) grafana(id, x, y, width, height int) map[string]any {
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	targets := []any{}
	for index, one := range p.queries {
		targets = append(targets, map[string]any{
			"refId": string(rune('A' + index)), "datasource": source, "expr": one.expr, "legendFormat": one.legend, "instant": p.kind == stat,
			"range": p.kind != stat,
		})
	}
	defaults := map[string]any{"unit": p.unit}
	if len(p.steps) > 0 {
		steps := []any{}
		for index, one := range p.steps {
			step := map[string]any{"color": one.colour, "value": one.from}
			if index == 0 {
				step["value"] = nil // Everything below the second.
			}
			steps = append(steps, step)
		}
		defaults["thresholds"] = map[string]any{"mode": "absolute", "steps": steps}
	}
	shown := map[string]any{
		"id": id, "title": p.title, "type": p.kind, "datasource": source, "targets": targets,
		"gridPos":     map[string]any{"x": x, "y": y, "w": width, "h": height},
		"fieldConfig": map[string]any{"defaults": defaults, "overrides": []any{}},
	}
	if p.kind == stat {
		text := "value"
		if p.byName {
			text = "name"
		}
		shown["options"] = map[string]any{
			"textMode": text, "graphMode": "none", "reduceOptions": map[string]any{"calcs": []any{"lastNotNull"}, "values": false},
		}
	}
	return shown
}

// grid lays the panels out from left to right: the small ones first, in rows of their own.
func grid(panels []panel) []any {
	placed := []any{}
	x, y := 0, 0
	for _, kind := range []string{stat, graph} {
		width, height := statWidth, statHeight
		if kind == graph {
			width, height = graphWidth, graphHeight
		}
		for _, one := range panels {
			if one.kind != kind {
				continue
			}
			if x+width > 24 {
				x, y = 0, y+height
			}
			placed = append(placed, one.grafana(len(placed)+1, x, y, width, height))
			x += width
		}
		x, y = 0, y+height
	}
	return placed
}

// dashboardJSON is the dashboard in Grafana's JSON. The uid is always the same for a stack, so that links to it and what others have made of
// it survive.
func (c Config) dashboardJSON(stack, uid string) (string, error) {
	text, err := json.MarshalIndent(map[string]any{
		"uid": uid, "title": fmt.Sprintf("ha-iris: %s (%s)", stack, c.Namespace), "tags": []any{"ha-iris"},
		"schemaVersion": dashboardSchema, "editable": false, "refresh": "30s", "timezone": "utc",
		"time": map[string]any{"from": "now-6h", "to": "now"},
		"templating": map[string]any{"list": []any{map[string]any{
			"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
		}}},
		"panels": grid(c.panels()),
	}, "", " ")
	if err != nil {
		return "", fmt.Errorf("write the dashboard: %w", err)
	}
	return string(text) + "\n", nil
}

func (s *scope) dashboard(in *namespace, options ...pulumi.ResourceOption) error {
	if !s.cfg.Dashboard {
		return nil
	}
	uid := "ha-iris-" + checksum(s.ctx.Organization(), s.ctx.Project(), s.ctx.Stack(), s.cfg.Namespace)[:24] // Grafana takes 40.
	text, err := s.cfg.dashboardJSON(s.ctx.Stack(), uid)
	if err != nil {
		return err
	}
	metadata := in.metadata(s.cfg.database(), dashboardName, nil)
	labels := s.cfg.database().labels()
	labels["grafana_dashboard"] = pulumi.String("1") // What the sidecar of Grafana's chart looks for.
	metadata.Labels = labels
	_, err = corev1.NewConfigMap(s.ctx, dashboardName, &corev1.ConfigMapArgs{
		Metadata: metadata,
		// The sidecar writes those of all namespaces into one directory.
		Data: pulumi.StringMap{"ha-iris-" + s.cfg.Namespace + "-" + uid[len("ha-iris-"):][:8] + ".json": pulumi.String(text)},
	}, s.options(options...)...)
	return creating("ConfigMap "+dashboardName, err)
}
