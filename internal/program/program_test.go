package program

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"ha-iris/cluster"
	"ha-iris/internal/owner"
	"ha-iris/internal/testkit"
)

const testPassword = "Tr0ub4dor-unit"

// kubeconfig returns the kubeconfig of an API server that runs for the length of the test and only says its version.
func kubeconfig(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("labelSelector") {
			_, _ = w.Write([]byte("{}")) // The stack has no nodes yet.
		}
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: only, context: {cluster: c, user: u}}]
`, server.URL, base64.StdEncoding.EncodeToString(ca))
}

// existing is the configuration of a stack on an existing cluster; changes are merged into it.
func existing(t *testing.T, changes map[string]string) testkit.Options {
	t.Helper()
	options := testkit.Options{
		Config: map[string]string{
			"ha-iris:cluster":      `{"cloud":"existing"}`,
			"ha-iris:irisPassword": testPassword,
			"ha-iris:kubeconfig":   kubeconfig(t),
		},
		Secrets: []string{"ha-iris:irisPassword", "ha-iris:kubeconfig"},
	}
	for key, value := range changes {
		options.Config["ha-iris:"+key] = value
	}
	return options
}

// clouds are the clouds' stack files as a user copies them, with the secret that has to be set.
func clouds(t *testing.T) map[string]testkit.Options {
	t.Helper()
	targets := map[string]testkit.Options{}
	for _, cloud := range cluster.Clouds() {
		if cloud == cluster.Existing {
			continue
		}
		name := string(cloud)
		content, err := os.ReadFile("Pulumi." + name + ".yaml")
		if err != nil {
			t.Fatalf("read stack file: %v", err)
		}
		var file struct {
			Config map[string]any `json:"config"`
		}
		if err := yaml.Unmarshal(content, &file); err != nil {
			t.Fatalf("parse Pulumi.%s.yaml: %v", name, err)
		}
		options := testkit.Options{
			Config: map[string]string{"ha-iris:irisPassword": testPassword}, Secrets: []string{"ha-iris:irisPassword"},
		}
		for key, value := range file.Config {
			text, isText := value.(string)
			if !isText {
				encoded, err := json.Marshal(value)
				if err != nil {
					t.Fatalf("encode %s: %v", key, err)
				}
				text = string(encoded)
			}
			options.Config[key] = text
		}
		targets[name] = options
	}
	return targets
}

func TestProgram_KeepsTheInvariantsOnEveryTarget(t *testing.T) {
	t.Parallel()
	targets := clouds(t)
	targets["existing"] = existing(t, nil)
	for name, options := range targets {
		for _, preview := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/preview=%v", name, preview), func(t *testing.T) {
				t.Parallel()
				options := options
				options.Preview = preview
				recorder := &testkit.Recorder{
					Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("certificate"),
				}
				if err := recorder.Run(Run, options); err != nil {
					t.Fatalf("run: %v", err)
				}
				if err := recorder.CheckInvariants(); err != nil {
					t.Error(err)
				}
				checkPassword(t, recorder)
				checkProtection(t, recorder)
				checkLifetime(t, recorder, name)
				checkOwner(t, recorder)
			})
		}
	}
}

// checkPassword fails when the password is anywhere but in a secret.
func checkPassword(t *testing.T, recorder *testkit.Recorder) {
	t.Helper()
	found := false
	for _, registration := range recorder.Registrations() {
		for path, value := range testkit.Leaves(registration.Inputs) {
			if !strings.Contains(value.Text, testPassword) {
				continue
			}
			found = true
			if !value.Secret {
				t.Errorf("%s %s: %s holds the password in clear", registration.TypeToken, registration.Name, path)
			}
		}
	}
	if !found {
		t.Error("the password reaches no resource, so this check proves nothing")
	}
}

func checkProtection(t *testing.T, recorder *testkit.Recorder) {
	t.Helper()
	for _, registration := range []testkit.Registration{
		recorder.One(t, "kubernetes:core/v1:PersistentVolumeClaim", "iris-pvc"),
		recorder.One(t, "kubernetes:core/v1:Namespace", "namespace"),
		recorder.One(t, "kubernetes:helm.sh/v3:Release", "longhorn"),
	} {
		if !registration.RegisterRPC.GetProtect() {
			t.Errorf("%s %s is not protected by default", registration.TypeToken, registration.Name)
		}
	}
}

// checkLifetime fails when what lives outside the cluster would be forgotten with it, or when an API server that is going
// away would be asked to delete every object in it.
func checkLifetime(t *testing.T, recorder *testkit.Recorder, target string) {
	t.Helper()
	for _, registration := range recorder.Registrations() {
		if !strings.HasPrefix(registration.TypeToken, "kubernetes:") {
			continue
		}
		balancer := registration.TypeToken == "kubernetes:core/v1:Service"
		refuses := registration.RegisterRPC.GetProtect()
		want := target != "existing" && !balancer
		if got := registration.RegisterRPC.GetDeletedWith() != ""; got != want && !refuses {
			t.Errorf("%s: deleted with the cluster: %v, want %v", registration.Name, got, want)
		}
	}
}

// checkOwner fails when an object is not marked as the stack's, or would be created without a look at what is there.
func checkOwner(t *testing.T, recorder *testkit.Recorder) {
	t.Helper()
	number := recorder.One(t, "pulumi:index:Stash", "owner").Inputs["input"].StringValue()
	for _, registration := range recorder.Registrations() {
		if !strings.HasPrefix(registration.TypeToken, "kubernetes:") {
			continue
		}
		if !slices.Contains(registration.RegisterRPC.GetHooks().GetBeforeCreate(), "ha-iris-owner") {
			t.Errorf("%s %s: what is there already would be taken over", registration.TypeToken, registration.Name)
		}
		if registration.TypeToken == "kubernetes:helm.sh/v3:Release" {
			continue // Not an object of the API; the storage package marks it in its values.
		}
		leaves := testkit.Leaves(registration.Inputs)
		for annotation, want := range map[string]string{
			owner.StackAnnotation: "organization/ha-iris/test", owner.OwnerAnnotation: number, "pulumi.com/patchForce": "true",
		} {
			if got := leaves[".metadata.annotations."+annotation].Text; got != want {
				t.Errorf("%s %s: annotation %s is %q, want %q", registration.TypeToken, registration.Name, annotation, got, want)
			}
		}
	}
}

// These packages double the time and memory of a cold build of the program (design decision in storage/release.go).
func TestProgram_KeepsHeavyPackagesOut(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list dependencies: %v", err)
	}
	dependencies := strings.Fields(string(output))
	if len(dependencies) < 100 {
		t.Fatalf("only %d dependencies listed; the check would prove nothing", len(dependencies))
	}
	for _, dependency := range dependencies {
		for _, heavy := range []string{
			"pulumi-kubernetes/sdk/v4/go/kubernetes/helm/", "pulumi-kubernetes/sdk/v4/go/kubernetes/yaml",
			"pulumi-kubernetes/sdk/v4/go/kubernetes/kustomize", "pulumi-gcp/sdk/v7/go/gcp/compute",
			"pulumi-azure-native-sdk/network", "k8s.io/client-go/", "k8s.io/apimachinery/",
		} {
			if strings.Contains(dependency, heavy) {
				t.Errorf("the program imports %s", dependency)
			}
		}
	}
}

// The cluster brings what takes VolumeSnapshots, before the classes for them.
func TestProgram_AddsWhatTakesSnapshots(t *testing.T) {
	t.Parallel()
	asked := variant{sections: map[string]map[string]any{"storage": {"snapshotClasses": true}}}
	recorder := deployment(t, asked.options(t, clouds(t)["eks"]))
	class := recorder.Find("kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass")
	if len(class) != 1 || !slices.ContainsFunc(class[0].RegisterRPC.GetDependencies(), func(urn string) bool {
		return strings.HasSuffix(urn, "-snapshot-controller")
	}) {
		t.Errorf("%d classes, or one that does not wait for the add-on", len(class))
	}
	// A namespace with VolumeSnapshots is never gone once nobody is there who deletes them.
	for _, namespace := range recorder.Find("kubernetes:core/v1:Namespace") {
		if namespace.Name == "namespace" && !slices.Contains(namespace.RegisterRPC.GetDependencies(), class[0].URN) {
			t.Errorf("the database's namespace is deleted beside Longhorn: it depends on %v", namespace.RegisterRPC.GetDependencies())
		}
	}
}
