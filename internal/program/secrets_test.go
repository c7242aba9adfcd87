package program

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/strict"
	"ha-iris/internal/testkit"
)

// marker is a secret that would pass for a name wherever one is asked for.
const marker = "sup3rs3cr3t"

// nest returns the JSON of a value below keys.
func nest(t *testing.T, keys []string, value any) string {
	t.Helper()
	for _, key := range slices.Backward(keys) {
		value = map[string]any{key: value}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return string(encoded)
}

// holding returns values of a type with a secret in them: Pulumi's secrets are text, in a list or an object too.
func holding(text string, kind reflect.Type) []any {
	switch kind.Kind() {
	case reflect.Slice:
		return []any{[]any{text}, text}
	case reflect.Map:
		return []any{
			map[string]any{"a": text},
			map[string]any{"a": map[string]any{"b": text}},
			text,
			map[string]any{"a": []any{map[string]any{"b": []any{text}}}},
		}
	default:
		return []any{text}
	}
}

func TestSecrets_StaySecretInEveryKeyOrAreRefused(t *testing.T) {
	t.Parallel()
	var accepted []string
	cfg := defaultConfig()
	for section, target := range cfg.sections() {
		for path, kind := range leafTypes("", reflect.TypeOf(target).Elem()) {
			for _, text := range []string{marker, "https://" + marker + ".example.com/x", "example.com/x:1.2.3-" + marker, "Not a name: " + marker + `"\n`} {
				for _, value := range holding(text, kind) {
					if checkSecretStays(t, section, path, value) {
						accepted = append(accepted, section+"."+path)
					}
				}
			}
		}
	}
	slices.Sort(accepted)
	want := []string{"storage.chart", "storage.nodePrepImage", "storage.values"}
	if got := slices.Compact(accepted); !slices.Equal(got, want) {
		t.Errorf("secrets are accepted in %v, want %v", got, want)
	}
}

func leafTypes(prefix string, structType reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, field := range strict.Fields(structType) {
		if field.Type.Kind() != reflect.Struct {
			types[prefix+field.Key] = field.Type
			continue
		}
		for path, kind := range leafTypes(prefix+field.Key+".", field.Type) {
			types[path] = kind
		}
	}
	return types
}

// checkSecretStays runs the program with a secret at a key and says whether it was accepted.
func checkSecretStays(t *testing.T, section, path string, value any) bool {
	t.Helper()
	options := clouds(t)["aks"] // Where nodes are prepared, so that the image is used.
	options.Config["ha-iris:"+section] = nest(t, strings.Split(path, "."), value)
	options.Secrets = append(options.Secrets, "ha-iris:"+section)
	recorder := &testkit.Recorder{Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("c")}
	err := recorder.Run(Run, options)
	if err != nil && strings.Contains(err.Error(), marker) {
		t.Errorf("%s.%s: the error shows the secret: %v", section, path, err)
	}
	if err != nil && !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%s.%s: refused too late: %v", section, path, err)
	}
	arrived := false
	for _, registration := range recorder.Registrations() {
		if strings.Contains(registration.URN, marker) {
			t.Errorf("%s.%s: the secret is in the name %s", section, path, registration.URN)
		}
		for leafPath, leaf := range testkit.Leaves(registration.Inputs) {
			if strings.Contains(leafPath, marker) || strings.Contains(leaf.Text, marker) && !leaf.Secret {
				t.Errorf("%s.%s: %s holds the secret in clear at %s", section, path, registration.Name, leafPath)
			}
			arrived = arrived || strings.Contains(leaf.Text, marker)
		}
	}
	if err == nil && !arrived {
		t.Errorf("%s.%s: the secret reaches no resource, so this check proves nothing", section, path)
	}
	return err == nil
}

func TestSecrets_AreRefusedWithTheReasonAndTheWayOut(t *testing.T) {
	t.Parallel()
	for section, want := range map[string][]string{
		"iris": {
			"iris: got a secret value, want none among its keys", "pulumi config rm --path iris.KEY",
			"pulumi config set --secret irisLicenseKey or irisPassword or irisRegistryPassword", "has 1 problem;",
		},
		"cluster": {
			"cluster: got a secret value, want none among its keys", "pulumi config rm --path cluster.KEY",
			"pulumi config set --secret kubeconfig", "has 1 problem;",
		},
	} {
		options := existing(t, nil)
		options.Config["ha-iris:iris"] = `{"namespace":"` + marker + `"}`
		options.Secrets = append(options.Secrets, "ha-iris:"+section)
		checkRefused(t, options, want)
	}
}

// A secret among the chart's values must not hide what else a preview shows of them.
func TestSecrets_OfTheChartLeaveOurValuesReadable(t *testing.T) {
	t.Parallel()
	options := existing(t, with("storage", `{"values":{"defaultSettings":{"logLevel":"`+marker+`"}}}`))
	options.Secrets = append(options.Secrets, "ha-iris:storage")
	recorder := &testkit.Recorder{}
	if err := recorder.Run(Run, options); err != nil {
		t.Fatalf("run: %v", err)
	}
	release := recorder.One(t, "kubernetes:helm.sh/v3:Release", "longhorn")
	leaves := testkit.Leaves(release.Inputs)
	if policy := leaves[".values.defaultSettings.nodeDownPodDeletionPolicy"]; policy.Secret || policy.Text == "" {
		t.Errorf("our own value is %+v", policy)
	}
	if level := leaves[".values.defaultSettings.logLevel"]; !level.Secret || level.Text != marker {
		t.Errorf("the secret is secret: %v", level.Secret)
	}
	if outputs := release.RegisterRPC.GetAdditionalSecretOutputs(); !slices.Contains(outputs, "values") {
		t.Errorf("what Helm answers is secret in %v", outputs)
	}
}
