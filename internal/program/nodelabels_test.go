package program

import (
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

// A label that appears or goes changes node pools, so it does not depend on what is installed.
func TestProgram_LabelsNodesForItsStorageWhateverIsInstalled(t *testing.T) {
	t.Parallel()
	for name, options := range clouds(t) {
		for _, section := range []string{`{}`, `{"install":false,"className":"fast"}`} {
			recorder := &testkit.Recorder{Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("certificate")}
			options.Config["ha-iris:storage"] = section
			if err := recorder.Run(Run, options); err != nil {
				t.Fatalf("%s, storage %s: %v", name, section, err)
			}
			labelled := 0
			for _, registration := range recorder.Registrations() {
				for path, value := range testkit.Leaves(registration.Inputs) {
					if strings.Contains(path, "node.longhorn.io/create-default-disk") && value.Text == "true" {
						labelled++
					}
				}
			}
			if labelled == 0 {
				t.Errorf("%s, storage %s: no node has the label without which none of its disks is used", name, section)
			}
		}
	}
}
