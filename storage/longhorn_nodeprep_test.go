package storage

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
)

const multipathFile = "etc/multipath/conf.d/longhorn.conf"

// newPreparableNode is an Ubuntu node as the clouds ship it: open-iscsi installed, iscsid not started, multipathd running.
func newPreparableNode(t *testing.T) *testkit.Shell {
	t.Helper()
	s := testkit.NewShell(t)
	testkit.WriteFile(t, filepath.Join(s.Root, "etc/iscsi/initiatorname.iscsi"), "GenerateName=yes\n")
	s.Stub(t, "iscsiadm", "")
	s.Stub(t, "multipathd", "")
	s.Stub(t, "modprobe", `mkdir -p "$HA_IRIS_ROOT/sys/module/iscsi_tcp"`)
	s.Stub(t, "systemctl", `case "$*" in
"is-active --quiet iscsid.service") [[ -f "$STATE/iscsid" ]] ;;
"enable --now --quiet iscsid.service") touch "$STATE/iscsid" ;;
esac`)
	s.Stub(t, "iscsi-iname", "echo iqn.2004-10.com.example:node")
	return s
}

func prepare(t *testing.T, s *testkit.Shell) (string, error) {
	t.Helper()
	return s.Run(t, "bash", nodePrepScript)
}

func mustPrepare(t *testing.T, s *testkit.Shell) {
	t.Helper()
	if output, err := prepare(t, s); err != nil || !strings.Contains(output, "ready for Longhorn") {
		t.Fatalf("%v\n%s", err, output)
	}
}

func restarts(t *testing.T, s *testkit.Shell) int {
	t.Helper()
	count := 0
	for _, call := range s.Calls(t, "systemctl") {
		if call == "restart multipathd.service" {
			count++
		}
	}
	return count
}

func TestNode_IsPrepared(t *testing.T) {
	t.Parallel()
	s := newPreparableNode(t)
	mustPrepare(t, s)
	if testkit.ReadFile(t, filepath.Join(s.Root, "etc/modules-load.d/longhorn.conf")) != "iscsi_tcp\n" {
		t.Error("iscsi_tcp is not loaded after a reboot")
	}
	if blacklist := testkit.ReadFile(t, filepath.Join(s.Root, multipathFile)); !strings.Contains(blacklist, `devnode "^sd[a-z0-9]+"`) {
		t.Errorf("multipathd takes Longhorn's devices:\n%s", blacklist)
	}
	if restarts(t, s) != 1 {
		t.Errorf("multipathd does not know yet: systemctl %q", s.Calls(t, "systemctl"))
	}
}

func TestPreparedNode_IsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newPreparableNode(t)
	mustPrepare(t, s)
	mustPrepare(t, s)
	if restarts(t, s) != 1 {
		t.Error("multipathd is restarted by a run that changes nothing; that suspends everybody's disks")
	}
	if testkit.ReadFile(t, filepath.Join(s.Root, "etc/iscsi/initiatorname.iscsi")) != "GenerateName=yes\n" {
		t.Error("the initiator's name was the service's to make up")
	}
}

func TestStoppedISCSID_IsStartedAgain(t *testing.T) {
	t.Parallel()
	s := newPreparableNode(t)
	mustPrepare(t, s)
	s.Stub(t, "systemctl", `[[ "$*" != "is-active --quiet iscsid.service" || -f "$STATE/again" ]] || exit 3
[[ "$*" != "enable --now --quiet iscsid.service" ]] || touch "$STATE/again"`)
	mustPrepare(t, s)
}

func TestMissingInitiator_IsInstalledOrSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ manager, packageName, want string }{
		{"apt-get", "open-iscsi", ""},
		{"dnf", "iscsi-initiator-utils", ""},
		{"zypper", "open-iscsi", ""},
		{"", "", "no iSCSI initiator and no package manager"},
	} {
		s := newPreparableNode(t)
		s.Remove(t, "iscsiadm")
		if test.manager != "" {
			// It reads from its input, as package managers do: the rest of the script must not be in there.
			s.Stub(t, test.manager, `cat >/dev/null
[[ "$*" != *install* ]] || { touch "${0%/*}/iscsiadm"; chmod 700 "${0%/*}/iscsiadm"; }`)
		}
		output, err := prepare(t, s)
		if test.want != "" {
			if err == nil || !strings.Contains(output, test.want) {
				t.Errorf("got %v\n%s", err, output)
			}
			continue
		}
		if err != nil || !strings.Contains(output, "ready for Longhorn") {
			t.Errorf("%s: %v\n%s", test.manager, err, output)
		}
		if calls := strings.Join(s.Calls(t, test.manager), "\n"); !strings.Contains(calls, test.packageName) {
			t.Errorf("%s %s", test.manager, calls)
		}
	}
}

func TestNodeWithoutInitiatorName_GetsOne(t *testing.T) {
	t.Parallel()
	s := newPreparableNode(t)
	file := filepath.Join(s.Root, "etc/iscsi/initiatorname.iscsi")
	testkit.WriteFile(t, file, "# nothing here\n")
	mustPrepare(t, s)
	if got := testkit.ReadFile(t, file); got != "InitiatorName=iqn.2004-10.com.example:node\n" {
		t.Errorf("got %q", got)
	}
}

func TestMultipath_IsLeftAloneWhereThereIsNone(t *testing.T) {
	t.Parallel()
	s := newPreparableNode(t)
	s.Remove(t, "multipathd")
	mustPrepare(t, s)
	if testkit.ReadFile(t, filepath.Join(s.Root, multipathFile)) != "" || restarts(t, s) != 0 {
		t.Errorf("systemctl %q", s.Calls(t, "systemctl"))
	}
}

func TestUnpreparedNode_IsNeverCalledReady(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, command, body, want string }{
		{"module not loaded", "modprobe", "", "iscsi_tcp is not loaded"},
		{"module refused", "modprobe", "echo no such module; exit 1", "no such module"},
		{"iscsid does not start", "systemctl", `[[ "$1" != is-active ]]`, "iscsid does not run"},
		{"broken initiator", "iscsiadm", "exit 1", "iscsiadm does not run"},
	} {
		s := newPreparableNode(t)
		s.Stub(t, test.command, test.body)
		output, err := prepare(t, s)
		if err == nil || strings.Contains(output, "ready") || !strings.Contains(output, test.want) {
			t.Errorf("%s: %v\n%s", test.name, err, output)
		}
	}
}

// Four rounds: the node fails, is ready, fails again, and then the pod is told to end.
func TestLoop_IsReadyOnlyWhileTheNodeIs(t *testing.T) {
	t.Parallel()
	s := testkit.NewShell(t)
	script := filepath.Join(s.State, "prepare-node.sh")
	ready := filepath.Join(s.State, "ready")
	testkit.WriteFile(t, script, "the script\n")
	testkit.WriteFile(t, ready, "") // Left behind by the container before.
	s.Stub(t, "sleep", "")
	s.Stub(t, "nsenter", `[[ "$(cat)" == "the script" ]] || echo "wrong script"
[[ -f "$STATE/ready" ]] && echo yes >>"$STATE/seen" || echo no >>"$STATE/seen"
case "$(wc -l <"$STATE/calls-nsenter")" in
2) exit 0 ;;
4) kill "$PPID"; exit 0 ;;
*) exit 1 ;;
esac`)
	output, err := s.Run(t, "sh", nodePrepLoop, "READY="+ready, "SCRIPT="+script, "INTERVAL=300")
	if err != nil || strings.Contains(output, "wrong script") {
		t.Fatalf("%v\n%s", err, output)
	}
	if seen := testkit.ReadFile(t, filepath.Join(s.State, "seen")); seen != "no\nno\nyes\nno\n" {
		t.Errorf("ready before each round: %q, want no, no, yes, no", seen)
	}
	if calls := s.Calls(t, "nsenter"); calls[0] != "-t 1 -m -u -i -n -- /bin/bash -s" {
		t.Errorf("nsenter %s", calls[0])
	}
	if pauses := strings.Join(s.Calls(t, "sleep"), " "); pauses != "10 300 10" {
		t.Errorf("pauses of %s s, want 10 300 10", pauses)
	}
}

func TestNodePrepDaemonSet_RunsOnEveryNode(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{false, true} {
		recorder := &testkit.Recorder{}
		err := recorder.Run(runNodePrep, testkit.Options{Preview: preview})
		if err != nil {
			t.Fatal(err)
		}
		if err := recorder.CheckInvariants(); err != nil {
			t.Error(err)
		}
		pod := nested(recorder.One(t, "kubernetes:apps/v1:DaemonSet", nodePrepName).Inputs, "spec", "template", "spec")
		if toleration := pod["tolerations"].ArrayValue()[0].ObjectValue(); len(toleration) != 1 || toleration["operator"].StringValue() != "Exists" {
			t.Errorf("tolerates %v, not everything", toleration)
		}
		container := pod["containers"].ArrayValue()[0].ObjectValue()
		if image := container["image"].StringValue(); image != "mirror.example.com/busybox@sha256:0123" {
			t.Errorf("image %s", image)
		}
		if !nested(container, "securityContext")["privileged"].BoolValue() || !pod["hostPID"].BoolValue() {
			t.Error("cannot enter the node")
		}
		if probe := nested(container, "readinessProbe", "exec"); len(probe["command"].ArrayValue()) == 0 {
			t.Error("nothing decides when the node is ready")
		}
	}
}

func runNodePrep(ctx *pulumi.Context) error {
	provider, err := kubernetes.NewProvider(ctx, "provider", nil)
	if err != nil {
		return err
	}
	parent := &Storage{}
	if err := ctx.RegisterComponentResource(componentType, "storage", parent, pulumi.Provider(provider)); err != nil {
		return err
	}
	_, err = newNodePrep(ctx, nodePrepArgs{
		Namespace: pulumi.String("longhorn-system"), Image: pulumi.String("mirror.example.com/busybox@sha256:0123"),
	}, pulumi.Parent(parent))
	return err
}

func TestNodePrep_RollsWhenItsScriptChanges(t *testing.T) {
	t.Parallel()
	recorder := &testkit.Recorder{}
	if err := recorder.Run(runNodePrep, testkit.Options{}); err != nil {
		t.Fatal(err)
	}
	daemonSet := recorder.One(t, "kubernetes:apps/v1:DaemonSet", nodePrepName)
	annotations := nested(daemonSet.Inputs, "spec", "template", "metadata", "annotations")
	if annotations["ha-iris/script"].StringValue() != nodePrepChecksum() {
		t.Errorf("annotations %v", annotations)
	}
	data := nested(recorder.One(t, "kubernetes:core/v1:ConfigMap", nodePrepName).Inputs, "data")
	if data["prepare-node.sh"].StringValue() != nodePrepScript || data["loop.sh"].StringValue() != nodePrepLoop {
		t.Error("the ConfigMap holds other scripts")
	}
}

// nested follows a path of object keys.
func nested(properties resource.PropertyMap, path ...resource.PropertyKey) resource.PropertyMap {
	for _, key := range path {
		properties = properties[key].ObjectValue()
	}
	return properties
}
