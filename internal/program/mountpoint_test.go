package program

import (
	"regexp"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

// A disk that is mounted elsewhere would stay empty, and the replicas would fill the node's root disk.
func TestProgram_PutsTheReplicasWhereTheNodesMountTheirDisk(t *testing.T) {
	mounted := regexp.MustCompile(`(?m)^MOUNT_POINT=(/\S+)$`).FindStringSubmatch(testkit.ReadFile(t, "cluster/userdata/eks-node.sh"))
	if mounted == nil {
		t.Fatal("eks-node.sh has no line MOUNT_POINT=...")
	}
	recorder := &testkit.Recorder{Invoke: testkit.CloudInvoke(kubeconfig(t)), Outputs: testkit.CloudOutputs("certificate")}
	if err := recorder.Run(Run, clouds(t)["eks"]); err != nil {
		t.Fatal(err)
	}
	values := recorder.One(t, "kubernetes:helm.sh/v3:Release", "longhorn").Inputs["values"].ObjectValue()
	got := values["defaultSettings"].ObjectValue()["defaultDataPath"].StringValue()
	if strings.TrimSuffix(got, "/") != mounted[1] {
		t.Errorf("the replicas are in %s, the disk is mounted at %s", got, mounted[1])
	}
}
