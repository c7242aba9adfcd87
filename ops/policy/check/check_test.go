package check_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
	"ha-iris/ops/policy/check"
)

func TestCheck_FindsInEachRecordingWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	for _, name := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines strings.Builder
			for _, v := range check.Check(read(t, recording(t, name))) {
				fmt.Fprintf(&lines, "%s\n  %s %s\n  got %s\n  want %s\n", v.Rule, shortName(v.URN), v.Path, v.Got, v.Want)
			}
			testkit.Golden(t, name+".golden", lines.String())
		})
	}
}

// What is right must stay silent, or nobody looks at what the tool says.
func TestCheck_AcceptsWhatIsRight(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"create", "export", "update"} {
		if found := check.Check(read(t, recording(t, name))); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestCheck_NeverShowsACredential(t *testing.T) {
	t.Parallel()
	planted := 0
	for _, name := range recordings(t) {
		content := recording(t, name)
		planted += bytes.Count(content, []byte("not-a-real")) + bytes.Count(content, []byte("not a real"))
		found := fmt.Sprint(check.Check(read(t, content)))
		for _, credential := range []string{"not-a-real", "not a real", "not-real"} {
			if strings.Contains(found, credential) {
				t.Errorf("%s: a credential is in %s", name, found)
			}
		}
	}
	if planted < 10 {
		t.Errorf("only %d credentials in the recordings; the check proves nothing", planted)
	}
}

// The resources of a clean recording that the cases below change.
const (
	service   = "Service::office"
	login     = "Secret::login"
	settings  = "ConfigMap::settings"
	workload  = "Deployment::shop"
	release   = "Release::longhorn"
	provider  = "kubernetes::k8s"
	claim     = "PersistentVolumeClaim::orders"
	namespace = "Namespace::web"
)

// changes are what is set on one resource each, by name, and the violations that this is.
type changes map[string]struct {
	on   string
	set  map[string]any
	want string
}

func (cases changes) areJudged(t *testing.T) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, v := range check.Check(read(t, change(t, "update", c.on, c.set))) {
				line := strings.TrimSpace(string(v.Rule) + " " + v.Path)
				if !strings.HasSuffix(v.URN, c.on) {
					line = shortName(v.URN) + " " + line
				}
				got = append(got, line)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, ", "), c.want)
			}
		})
	}
}

func TestCheck_JudgesLoadBalancers(t *testing.T) {
	t.Parallel()
	changes{
		"one range too wide": {
			service,
			object{"spec.loadBalancerSourceRanges": list("203.0.113.0/24", "::/0")},
			"public-load-balancer spec.loadBalancerSourceRanges",
		},
		"everybody in two halves": {
			service,
			object{"spec.loadBalancerSourceRanges": list("0.0.0.0/1", "128.0.0.0/1")},
			"public-load-balancer spec.loadBalancerSourceRanges, public-load-balancer spec.loadBalancerSourceRanges",
		},
		"the public annotation without ranges": {service, object{
			"spec.loadBalancerSourceRanges": nil, "metadata.annotations": object{"ha-iris/public": "true"},
		}, "public-load-balancer spec.loadBalancerSourceRanges"},
		"ranges in the older annotation": {service, object{
			"spec.loadBalancerSourceRanges": nil,
			"metadata.annotations":          object{"service.beta.kubernetes.io/load-balancer-source-ranges": "203.0.113.0/24,198.51.100.0/24"},
		}, ""},
		"an internal annotation that says no": {service, object{
			"spec.loadBalancerSourceRanges": nil,
			"metadata.annotations":          object{"service.beta.kubernetes.io/azure-load-balancer-internal": "false"},
		}, "public-load-balancer spec.loadBalancerSourceRanges"},
		"an internal annotation of another platform": {service, object{
			"spec.loadBalancerSourceRanges": nil,
			"metadata.annotations":          object{"networking.gke.io/load-balancer-type": "Internal"},
		}, ""},
		"a ClusterIP needs no ranges":   {service, object{"spec.type": "ClusterIP", "spec.loadBalancerSourceRanges": nil}, ""},
		"ranges that are not known yet": {service, object{"spec.loadBalancerSourceRanges": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, ""},
	}.areJudged(t)
}

func TestCheck_JudgesCharts(t *testing.T) {
	t.Parallel()
	changes{
		"a chart's load balancer with ranges": {release, object{"values": object{
			"service": object{"type": "LoadBalancer", "loadBalancerSourceRanges": list("10.0.0.0/8")},
		}}, ""},
		"a chart's open load balancer": {
			release,
			object{"values": object{"service": object{"type": "LoadBalancer"}}},
			"public-load-balancer values.service.loadBalancerSourceRanges",
		},
		"a chart's image at latest": {
			release,
			object{"values": object{"ui": object{"image": "registry:5000/ui:latest"}}},
			"unpinned-image values.ui.image",
		},
		"a chart's image repository": {release, object{"values": object{"image": "registry:5000/ui", "tag": "v1"}}, ""},
		"a chart's secret in a list": {
			release,
			object{"values": object{"users": list(object{"apiKey": "k"})}},
			"plaintext-secret values.users[0].apiKey",
		},
		"the name of a Secret": {release, object{"values": object{"backupTargetCredentialSecret": "s3", "tokenSecretName": "t"}}, ""},
	}.areJudged(t)
}

func TestCheck_JudgesSecrets(t *testing.T) {
	t.Parallel()
	changes{
		"a Secret's value in clear":        {login, object{"data": object{"user": "eA=="}}, "plaintext-secret data.user"},
		"a Secret's secret value in state": {login, object{"data": object{"user": signed()}}, ""},
		"a secret in a ConfigMap":          {settings, object{"data": object{"user": signed()}}, "plaintext-secret data.user"},
		"a whole ConfigMap that is secret": {settings, object{"data": "[secret]"}, "plaintext-secret data"},
		"an ini file with a password":      {settings, object{"data": object{"a.ini": "[db]\nuser=x\n  Password: hunter2\n"}}, `plaintext-secret data["a.ini"]`},
		"a script that asks a variable":    {settings, object{"data": object{"run.sh": "export DB_PASSWORD=${PW}\nTOKEN=$(cat /t)\n"}}, ""},
		"a text about passwords":           {settings, object{"data": object{"readme": "The password is in a Secret.\n"}}, ""},
		"a kubeconfig in a ConfigMap":      {settings, object{"data": object{"config": `{"kind":"Config","users":[{"user":{"token":"x"}}]}`}}, "plaintext-secret data.config"},
	}.areJudged(t)
}

func TestCheck_JudgesEnvironments(t *testing.T) {
	t.Parallel()
	changes{
		"a password in the environment":     {workload, env(object{"name": "PGPASSWORD", "value": "x"}), "plaintext-secret spec.template.spec.containers[0].env[0].value (PGPASSWORD)"},
		"a secret named so":                 {workload, env(object{"name": "SESSION_SECRET", "value": "x"}), "plaintext-secret spec.template.spec.containers[0].env[0].value (SESSION_SECRET)"},
		"a Pulumi secret in an environment": {workload, env(object{"name": "SESSION", "value": signed()}), "plaintext-secret spec.template.spec.containers[0].env[0].value (SESSION)"},
		"a password that is not known yet":  {workload, env(object{"name": "PGPASSWORD", "value": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}), ""},
		"a password file":                   {workload, env(object{"name": "PASSWORD", "value": "/run/secrets/password"}), ""},
		"a URL with a password":             {workload, env(object{"name": "DATABASE", "value": "postgres://a:b@db/x"}), "plaintext-secret spec.template.spec.containers[0].env[0].value (DATABASE)"},
		"a URL with a variable":             {workload, env(object{"name": "DATABASE", "value": "postgres://a:$(PW)@db/x"}), ""},
		"a password on a command line": {workload, object{"spec.template.spec.containers": list(object{
			"image": "x:1.2.3", "args": list("--verbose", "--db-password=x"),
		})}, "plaintext-secret spec.template.spec.containers[0].args[1]"},
		"a variable on a command line": {workload, object{"spec.template.spec.containers": list(object{
			"image": "x:1.2.3", "command": list("sh", "-c", "exec app"), "args": list("--db-password=$(PW)"),
		})}, ""},
		"hidden containers": {workload, object{"spec.template.spec.containers": "[secret]"}, "plaintext-secret spec.template.spec.containers"},
		"an init container": {
			workload,
			object{"spec.template.spec.initContainers": list(object{"image": "x:latest"})},
			"unpinned-image spec.template.spec.initContainers[0].image",
		},
	}.areJudged(t)
}

func TestCheck_JudgesProvidersAndData(t *testing.T) {
	t.Parallel()
	changes{
		"a kubeconfig that is a path":   {provider, object{"kubeconfig": "~/.kube/config"}, ""},
		"a kubeconfig in JSON":          {provider, object{"kubeconfig": `{"kind":"Config"}`}, "plaintext-secret kubeconfig"},
		"another provider's credential": {provider, object{"clientSecret": "x"}, "plaintext-secret clientSecret"},

		"a namespace that a claim names": {claim, object{"metadata.namespace": "web"}, "Namespace::web unprotected-data"},
		"a namespace that a stateful set claims volumes in": {workload, object{
			"metadata.namespace": "web", "spec.volumeClaimTemplates": list(object{}),
		}, "Namespace::web unprotected-data"},
		"an empty namespace": {namespace, object{"metadata.labels": object{}}, ""},
	}.areJudged(t)
}

func TestCheck_RefusesTheLossOfClustersAndNodes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"azure-native:containerservice:ManagedCluster":           true,
		"azure-native:containerservice/v20250501:AgentPool":      true,
		"aws:eks/cluster:Cluster":                                true,
		"aws:eks/nodeGroup:NodeGroup":                            true,
		"gcp:container/cluster:Cluster":                          true,
		"gcp:container/nodePool:NodePool":                        true,
		"aws:eks/accessEntry:AccessEntry":                        false,
		"kubernetes:core/v1:PersistentVolume":                    true,
		"kubernetes:core/v1:ConfigMap":                           false,
		"kubernetes:snapshot.storage.k8s.io/v1:StorageClassLike": false,
	} {
		for op, ends := range map[string]bool{"delete": true, "replace": true, "delete-replaced": true, "update": false, "same": false} {
			document := fmt.Sprintf(`{"steps":[{"op":%q,"urn":"u","oldState":{"urn":"u","type":%q,"protect":true}}]}`, op, kind)
			if got := len(check.Check(read(t, []byte(document)))); (got == 1) != (want && ends) {
				t.Errorf("%s of %s: %d violations", op, kind, got)
			}
		}
	}
}

func TestCheck_ReportsAReplacementInPartsOnce(t *testing.T) {
	t.Parallel()
	const state = `{"urn":"u","type":"kubernetes:core/v1:PersistentVolumeClaim","protect":true}`
	document := `{"steps":[{"op":"create-replacement","urn":"u","oldState":` + state + `,"newState":` + state + `},
		{"op":"replace","urn":"u","oldState":` + state + `,"newState":` + state + `},
		{"op":"delete-replaced","urn":"u","oldState":` + state + `}]}`
	if found := check.Check(read(t, []byte(document))); len(found) != 1 {
		t.Errorf("got %v, want one violation", found)
	}
}

func TestCheck_LetsAStorageClassBeMadeAnewUnderItsName(t *testing.T) {
	t.Parallel()
	class := func(name, provisioner string) string {
		return fmt.Sprintf(`{"urn":"u","type":"kubernetes:storage.k8s.io/v1:StorageClass","inputs":{"metadata":{"name":%q},"provisioner":%q}}`,
			name, provisioner)
	}
	before := class("fast", "a")
	for after, want := range map[string]int{before: 0, class("other", "a"): 1, class("fast", "b"): 1, class("", "a"): 1} {
		for _, steps := range []string{
			`{"op":"replace","urn":"u","oldState":` + before + `,"newState":` + after + `}`,
			`{"op":"delete-replaced","urn":"u","oldState":` + before + `},{"op":"create-replacement","urn":"u","oldState":` + before +
				`,"newState":` + after + `}`,
		} {
			if found := check.Check(read(t, []byte(`{"steps":[`+steps+`]}`))); len(found) != want {
				t.Errorf("%s: got %v, want %d violations", steps, found, want)
			}
		}
	}
	moved := `{"steps":[{"op":"replace","urn":"u","replaceReasons":["provider"],"oldState":` + before + `,"newState":` + before + `}]}`
	if found := check.Check(read(t, []byte(moved))); len(found) != 1 {
		t.Errorf("on another provider: got %v, want one violation", found)
	}
	if found := check.Check(read(t, []byte(`{"steps":[{"op":"delete","urn":"u","oldState":`+before+`}]}`))); len(found) != 1 {
		t.Errorf("deleted: got %v, want one violation", found)
	}
}

func TestCheck_LetsAnAKSPoolHaveASuccessor(t *testing.T) {
	t.Parallel()
	pool := func(name, label string) string {
		return fmt.Sprintf(`{"urn":"u","type":"azure-native:containerservice:AgentPool","inputs":{"agentPoolName":%q,"nodeLabels":{"ha-iris/pool":%q}}}`,
			name, label)
	}
	steps := func(order []string, after string) string {
		var all []string
		for _, op := range order {
			state := `"oldState":` + pool("z1aaa", "z1aaa")
			if op != "delete-replaced" {
				state += `,"newState":` + after
			}
			all = append(all, fmt.Sprintf(`{"op":%q,"urn":"u",%s}`, op, state))
		}
		return `{"steps":[` + strings.Join(all, ",") + `]}`
	}
	createFirst := []string{"create-replacement", "replace", "delete-replaced"}
	for name, test := range map[string]struct {
		document string
		want     int
	}{
		"a successor":         {steps(createFirst, pool("z1bbb", "z1bbb")), 0},
		"deleted first":       {steps([]string{"delete-replaced", "replace", "create-replacement"}, pool("z1bbb", "z1bbb")), 1},
		"under the same name": {steps(createFirst, pool("z1aaa", "z1aaa")), 1},
		"somebody's pool":     {steps(createFirst, pool("z1bbb", "")), 1},
	} {
		if found := check.Check(read(t, []byte(test.document))); len(found) != test.want {
			t.Errorf("%s: got %v, want %d violations", name, found, test.want)
		}
	}
}

func TestRead_SaysWhatAPreviewLeavesOpen(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ hidden, failures int }{
		"update": {0, 0}, "update-without-sames": {16, 0}, "failed": {0, 1}, "delete": {0, 4},
	} {
		stack := read(t, recording(t, name))
		if stack.Hidden != want.hidden || len(stack.Failures) != want.failures {
			t.Errorf("%s: hidden %d, failures %q; want %+v", name, stack.Hidden, stack.Failures, want)
		}
	}
}

func TestRead_TakesTheLaterStepOfAResource(t *testing.T) {
	t.Parallel()
	const document = `{"steps":[
		{"op":"refresh","urn":"u","newState":{"urn":"u","type":"kubernetes:core/v1:PersistentVolumeClaim"}},
		{"op":"same","urn":"u","newState":{"urn":"u","type":"kubernetes:core/v1:PersistentVolumeClaim","protect":true}}]}`
	stack := read(t, []byte(document))
	if found := check.Check(stack); len(found) > 0 || stack.Len() != 1 {
		t.Errorf("%d resources, violations %v; want one resource without", stack.Len(), found)
	}
}

func TestRead_RefusesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, want string }{
		"nothing":               {"", "empty"},
		"text":                  {"Previewing update (dev)", "byte 1"},
		"half a document":       {`{"steps": [`, "not the JSON"},
		"a stream of events":    {`{"steps": []}` + "\n" + `{"steps": []}`, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW"},
		"another JSON document": {`{"outputs": {}}`, "neither"},
		"a list":                {`[]`, "not a"},
		"steps of another type": {`{"steps": [{"op": 1}]}`, "steps.op is not a string"},
	} {
		_, err := check.Read(strings.NewReader(c.input))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

type object = map[string]any

func list(elements ...any) []any { return elements }

// signed is a secret as a state holds it.
func signed() object {
	return object{"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
}

func env(variable object) object {
	return object{"spec.template.spec.containers": list(object{"image": "x:1.2.3", "env": list(variable)})}
}

// shortName is a resource's type's last part and its name.
func shortName(urn string) string {
	at := strings.LastIndex(urn, "::")
	return urn[strings.LastIndex(urn[:at], ":")+1:]
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("recordings %v, %v", files, err)
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

func recording(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatalf("read recording: %v", err)
	}
	return content
}

func read(t *testing.T, content []byte) *check.Stack {
	t.Helper()
	stack, err := check.Read(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return stack
}

// change sets inputs, by dotted path, of the one resource whose URN ends so. A nil value removes the input.
func change(t *testing.T, name, suffix string, values map[string]any) []byte {
	t.Helper()
	var document struct {
		Steps []object `json:"steps"`
	}
	if err := json.Unmarshal(recording(t, name), &document); err != nil {
		t.Fatalf("parse recording: %v", err)
	}
	changed := 0
	for _, step := range document.Steps {
		state, ok := step["newState"].(object)
		if urn, _ := step["urn"].(string); !ok || !strings.HasSuffix(urn, suffix) {
			continue
		}
		changed++
		for path, value := range values {
			set(t, state["inputs"], strings.Split(path, "."), value)
		}
	}
	if changed != 1 {
		t.Fatalf("%d resources end in %s, want 1", changed, suffix)
	}
	content, err := json.Marshal(document)
	if err != nil {
		t.Fatalf("write recording: %v", err)
	}
	return content
}

func set(t *testing.T, inputs any, path []string, value any) {
	t.Helper()
	inner, ok := inputs.(object)
	if !ok {
		t.Fatalf("no object at %v", path)
	}
	switch {
	case len(path) > 1:
		set(t, inner[path[0]], path[1:], value)
	case value == nil:
		delete(inner, path[0])
	default:
		inner[path[0]] = value
	}
}
