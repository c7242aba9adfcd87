package program

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

// gatewayImage has no default: it is the user's, of the licensed edition.
const gatewayImage = "containers.intersystems.com/intersystems/webgateway-lockeddown:2026.1.0.233.0"

// pulled is a chart or an image that a cluster has to get, and the targets on which it needs it.
type pulled map[string][]string

// TestReference_ListsWhatIsPulled reads charts and images off what the program registers: none can be forgotten.
func TestReference_ListsWhatIsPulled(t *testing.T) {
	targets := clouds(t)
	targets["existing"] = existing(t, nil)
	images, charts := pulled{}, pulled{}
	for _, name := range sortedKeys(targets) {
		collectPulled(t, name, targets[name], images, charts)
	}
	gateway := pulled{}
	collectPulled(t, "with the Web Gateway", existing(t, with("iris", `{"webGateway":{"enabled":true,"image":"`+gatewayImage+`"}}`)), gateway, pulled{})
	if len(gateway[gatewayImage]) == 0 {
		t.Fatalf("the Web Gateway's image is not among %v", gateway)
	}
	var table strings.Builder
	table.WriteString("| what | needed on | set another with |\n|---|---|---|\n")
	for _, chart := range sortedKeys(charts) {
		fmt.Fprintf(&table, "| %s | %s | `storage.chart`, `storage.version` |\n", chart, strings.Join(charts[chart], ", "))
	}
	for _, image := range sortedKeys(images) {
		fmt.Fprintf(&table, "| image `%s` | %s | %s |\n", image, strings.Join(images[image], ", "), keyOf(t, image))
	}
	fmt.Fprintf(&table, "| the Web Gateway's image, which has no default | where it runs | `iris.webGateway.image` |\n")
	checkGenerated(t, referencePage, "<!-- pulled:begin -->\n", "<!-- pulled:end -->\n", table.String())
}

// collectPulled runs the program and adds what its objects pull.
func collectPulled(t *testing.T, target string, options testkit.Options, images, charts pulled) {
	t.Helper()
	recorder := &testkit.Recorder{Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("certificate")}
	if err := recorder.Run(Run, options); err != nil {
		t.Fatalf("run %s: %v", target, err)
	}
	for _, registration := range recorder.Registrations() {
		inputs := map[string]string{}
		for path, value := range testkit.Leaves(registration.Inputs) {
			inputs[path] = value.Text
			if strings.HasSuffix(path, ".image") {
				images.add(value.Text, target)
			}
		}
		if registration.TypeToken == "kubernetes:helm.sh/v3:Release" {
			charts.add(fmt.Sprintf("chart `%s`, version `%s`, from `%s`", inputs[".chart"], inputs[".version"], inputs[".repositoryOpts.repo"]), target)
		}
	}
}

func (p pulled) add(what, target string) {
	if !slices.Contains(p[what], target) {
		p[what] = append(p[what], target)
	}
}

// keyOf is the key whose default an image is.
func keyOf(t *testing.T, image string) string {
	t.Helper()
	for _, k := range configKeys(t) {
		if k.Default == any(image) {
			return "`" + k.Path + "`"
		}
	}
	t.Errorf("no key sets the image %s: a cluster without internet cannot have it", image)
	return ""
}
