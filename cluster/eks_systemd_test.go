package cluster

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

// imageUnits are the units of EKS's image for Amazon Linux 2023, at their place, as far as they matter here
// (awslabs/amazon-eks-ami, templates/al2023/runtime/rootfs/etc/systemd/system).
func imageUnits() map[string]string {
	return map[string]string{
		"kubelet.service": `[Unit]
After=containerd.service
Wants=containerd.service

[Service]
ExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS
Restart=on-failure

[Install]
WantedBy=multi-user.target
`,
		"nodeadm-run.service": `[Unit]
After=nodeadm-config.service cloud-final.service
Requires=nodeadm-config.service

[Service]
Type=oneshot
ExecStart=/usr/bin/nodeadm init --skip config

[Install]
WantedBy=multi-user.target
`,
	}
}

const unitDirectory = "etc/systemd/system"

// systemd runs one of its tools on a directory that plays the root, and returns what it printed.
func systemd(root, tool string, args ...string) (string, error) {
	output, err := exec.Command(tool, append([]string{"--root=" + root}, args...)...).CombinedOutput()
	return string(output), err
}

// With the tools of a real systemd, where there are some. That the script writes this drop-in, before all else, is tested without
// them (TestNodeThatCannotBePrepared_StaysOut, TestTheKubelet_IsHeldBeforeAnythingElseHappens).
func TestSystemd_StartsTheKubeletOnlyOnceTheDataDiskIsMounted(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"systemctl", "systemd-analyze"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("NOT CHECKED against a real systemd: this machine has no %s", tool)
			return
		}
	}
	n := newNode(t)
	for name, content := range imageUnits() {
		testkit.WriteFile(t, filepath.Join(n.Root, unitDirectory, name), content)
	}
	if output, err := systemd(n.Root, "systemctl", "mask", "kubelet.service"); err == nil {
		t.Errorf("the image's unit can be masked after all, so the script's comment is wrong: %s", output)
	}
	n.Stub(t, "mount", "exit 32")
	n.mustStayOut("gave up: mount")
	checkCondition(t, n.Root, "ConditionPathIsMountPoint=/var/lib/longhorn failed", false)

	// The same drop-in with a mount point that every machine has.
	held := testkit.ReadFile(t, filepath.Join(n.Root, kubeletDropIn))
	testkit.WriteFile(t, filepath.Join(n.Root, kubeletDropIn), strings.Replace(held, "/var/lib/longhorn", "/proc", 1))
	checkCondition(t, n.Root, "ConditionPathIsMountPoint=/proc succeeded", true)
}

// checkCondition asks systemd whether it would start the kubelet.
func checkCondition(t *testing.T, root, want string, starts bool) {
	t.Helper()
	output, err := systemd(root, "systemd-analyze", "condition", "--unit=kubelet.service")
	if strings.Contains(output, "unrecognized option") || strings.Contains(output, "Too many arguments") {
		t.Logf("NOT CHECKED against a real systemd: this one is older than 250: %s", output)
		return
	}
	if (err == nil) != starts || !strings.Contains(output, want) {
		t.Errorf("systemd starts the kubelet: %t, want %t and %q\n%s", err == nil, starts, want, output)
	}
}
