package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

const (
	diskSize   = 2 << 20
	dataUUID   = "11111111-2222-3333-4444-555555555555"
	fstabEntry = "UUID=" + dataUUID + " /var/lib/longhorn xfs defaults,noatime,nofail," +
		"x-systemd.device-timeout=60,x-systemd.before=kubelet.service 0 2\n"
)

// kubeletDropIn is read by systemd beside the unit's file, wherever that lies.
const kubeletDropIn = "etc/systemd/system/kubelet.service.d/10-ha-iris.conf"

// node is a fresh EKS node: a root disk and a blank EBS volume, no iSCSI.
type node struct {
	*testkit.Shell
	t    *testing.T
	disk string
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{Shell: testkit.NewShell(t), t: t}
	n.disk = filepath.Join(n.Root, "dev", "nvme1n1")
	testkit.WriteFile(t, n.disk, strings.Repeat("\x00", diskSize))
	testkit.WriteFile(t, filepath.Join(n.Root, "etc", "fstab"), "UUID=root / xfs defaults 0 1\n")
	n.disks(n.disk + " disk Amazon Elastic Block Store")
	n.Stub(t, "findmnt", "echo /dev/nvme0n1p1")
	n.Stub(t, "lsblk", `case "$*" in
*--inverse*) printf '%s\n' '/dev/nvme0n1p1 part' '/dev/nvme0n1 disk' ;;
*--nodeps*) echo '/dev/nvme0n1 disk Amazon Elastic Block Store'; cat "$STATE/disks" ;;
*) echo "${!#}"; [[ ! -f "$STATE/partitions" ]] || cat "$STATE/partitions" ;;
esac`)
	n.Stub(t, "blkid", `[[ ! -f "$STATE/blkid-status" ]] || status="$(<"$STATE/blkid-status")"
[[ -f "$STATE/filesystem" ]] || exit "${status:-2}"
case "$*" in
*UUID*) echo `+dataUUID+` ;;
*) cat "$STATE/filesystem" ;;
esac
exit "${status:-0}"`)
	n.Stub(t, "mkfs.xfs", `echo xfs >"$STATE/filesystem"; echo formatted >"${!#}"`)
	n.Stub(t, "mountpoint", `[[ -f "$STATE/mounted" ]]`)
	n.Stub(t, "mount", `touch "$STATE/mounted"`)
	n.Stub(t, "iscsi-iname", "echo iqn.1994-05.com.example:node")
	for _, name := range []string{"chattr", "dnf", "modprobe", "sleep", "systemctl"} {
		n.Stub(t, name, "")
	}
	return n
}

func (n *node) disks(lines ...string) {
	n.t.Helper()
	content := ""
	for _, line := range lines {
		content += line + "\n"
	}
	n.state("disks", content)
}

func (n *node) state(name, content string) {
	n.t.Helper()
	testkit.WriteFile(n.t, filepath.Join(n.State, name), content)
}

func (n *node) boot() (string, error) {
	n.t.Helper()
	return n.Run(n.t, "bash", eksNodeScript)
}

func (n *node) mustBoot() {
	n.t.Helper()
	if output, err := n.boot(); err != nil {
		n.t.Fatalf("%v\n%s", err, output)
	}
}

// mustStayOut boots the node and fails unless the script fails, says why, and keeps the kubelet from starting.
func (n *node) mustStayOut(reason string) {
	n.t.Helper()
	output, err := n.boot()
	if err == nil {
		n.t.Errorf("the node joins; want: %s\n%s", reason, output)
	}
	if !strings.Contains(output, reason) || !strings.Contains(output, "this node will not join the cluster") {
		n.t.Errorf("want the reason %q in\n%s", reason, output)
	}
	n.mustHoldTheKubelet()
}

// mustHoldTheKubelet fails unless the drop-in is where systemd reads it, and systemd was told. That it means what it should is
// for TestSystemd_StartsTheKubeletOnlyOnceTheDataDiskIsMounted.
func (n *node) mustHoldTheKubelet() {
	n.t.Helper()
	want := "[Unit]\nConditionPathIsMountPoint=/var/lib/longhorn\n"
	if got := testkit.ReadFile(n.t, filepath.Join(n.Root, kubeletDropIn)); got != want {
		n.t.Errorf("%s says %q, want %q", kubeletDropIn, got, want)
	}
	if calls := n.Calls(n.t, "systemctl"); len(calls) == 0 || calls[0] != "daemon-reload" {
		n.t.Errorf("systemd does not know of the drop-in: %q", calls)
	}
}

func (n *node) mustNotFormat() {
	n.t.Helper()
	if calls := n.Calls(n.t, "mkfs.xfs"); calls != nil {
		n.t.Errorf("formatted: mkfs.xfs %q", calls)
	}
}

func TestBlankDisk_IsFormattedAndMountedOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.mustBoot()
	if calls := n.Calls(t, "mkfs.xfs"); len(calls) != 1 || calls[0] != "-q "+n.disk {
		t.Errorf("mkfs.xfs %q", calls)
	}
	mountPoint := filepath.Join(n.Root, "var/lib/longhorn")
	if calls := n.Calls(t, "mount"); len(calls) != 1 || calls[0] != mountPoint {
		t.Errorf("mount %q", calls)
	}
	if calls := n.Calls(t, "chattr"); len(calls) != 1 || calls[0] != "+i "+mountPoint {
		t.Errorf("without the mount Longhorn could write to the root disk: chattr %q", calls)
	}
	if fstab := testkit.ReadFile(t, filepath.Join(n.Root, "etc/fstab")); fstab != "UUID=root / xfs defaults 0 1\n"+fstabEntry {
		t.Errorf("fstab:\n%s", fstab)
	}
}

func TestISCSI_IsReadyBeforeTheNodeJoins(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.mustBoot()
	if calls := n.Calls(t, "dnf"); len(calls) != 1 || !strings.Contains(calls[0], "iscsi-initiator-utils") {
		t.Errorf("dnf %q", calls)
	}
	if calls := n.Calls(t, "modprobe"); len(calls) != 1 || calls[0] != "iscsi_tcp" {
		t.Errorf("modprobe %q", calls)
	}
	if calls := n.Calls(t, "systemctl"); !slices.Equal(calls, []string{"daemon-reload", "enable --now iscsid.service"}) {
		t.Errorf("systemctl %q", calls)
	}
	for file, want := range map[string]string{
		"etc/iscsi/initiatorname.iscsi":    "InitiatorName=iqn.1994-05.com.example:node\n",
		"etc/modules-load.d/longhorn.conf": "iscsi_tcp\n",
	} {
		if got := testkit.ReadFile(t, filepath.Join(n.Root, file)); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

// Whatever the script does later may fail, take minutes or be killed.
func TestTheKubelet_IsHeldBeforeAnythingElseHappens(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Stub(t, "systemctl", `[[ "$1" == daemon-reload ]] || exit 0
calls=("$STATE"/calls-*)
[[ -f "$HA_IRIS_ROOT/`+kubeletDropIn+`" && "${calls[*]}" == "$STATE/calls-systemctl" ]] || { echo "too late: ${calls[*]}"; exit 1; }`)
	n.Stub(t, "dnf", "kill -KILL $PPID")
	output, err := n.boot()
	if err == nil || strings.Contains(output, "too late") || len(n.Calls(t, "dnf")) != 1 {
		t.Errorf("%v\n%s", err, output)
	}
	n.mustHoldTheKubelet()
}

func TestAKubeletThatCannotBeHeld_StopsThePreparation(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Stub(t, "systemctl", "echo no bus; exit 1")
	if output, err := n.boot(); err == nil || !strings.Contains(output, "no bus") || n.Calls(t, "dnf") != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestInitiator_KeepsItsName(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	file := filepath.Join(n.Root, "etc/iscsi/initiatorname.iscsi")
	testkit.WriteFile(t, file, "InitiatorName=iqn.2004-10.com.example:mine\n")
	n.mustBoot()
	if got := testkit.ReadFile(t, file); got != "InitiatorName=iqn.2004-10.com.example:mine\n" {
		t.Errorf("got %q", got)
	}
}

func TestSecondRun_ChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.mustBoot()
	n.mustBoot()
	if calls := n.Calls(t, "mkfs.xfs"); len(calls) != 1 {
		t.Errorf("mkfs.xfs %q", calls)
	}
	if calls := n.Calls(t, "mount"); len(calls) != 1 {
		t.Errorf("mount %q", calls)
	}
	if fstab := testkit.ReadFile(t, filepath.Join(n.Root, "etc/fstab")); strings.Count(fstab, "/var/lib/longhorn") != 1 {
		t.Errorf("fstab:\n%s", fstab)
	}
}

func TestLostMount_IsRestoredWithoutFormatting(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.mustBoot()
	if err := os.Remove(filepath.Join(n.State, "mounted")); err != nil {
		t.Fatal(err)
	}
	n.mustBoot()
	if formats, mounts := n.Calls(t, "mkfs.xfs"), n.Calls(t, "mount"); len(formats) != 1 || len(mounts) != 2 {
		t.Errorf("mkfs.xfs %q, mount %q", formats, mounts)
	}
	if fstab := testkit.ReadFile(t, filepath.Join(n.Root, "etc/fstab")); strings.Count(fstab, "/var/lib/longhorn") != 1 {
		t.Errorf("fstab:\n%s", fstab)
	}
}

func TestFormattedDisk_IsMountedAsItIs(t *testing.T) {
	t.Parallel()
	for _, filesystem := range []string{"xfs", "ext4"} {
		n := newNode(t)
		testkit.WriteFile(t, n.disk, strings.Repeat("replica ", diskSize/8))
		n.state("filesystem", filesystem+"\n")
		n.mustBoot()
		n.mustNotFormat()
		if calls := n.Calls(t, "mount"); len(calls) != 1 {
			t.Errorf("%s: mount %q", filesystem, calls)
		}
		if fstab := testkit.ReadFile(t, filepath.Join(n.Root, "etc/fstab")); !strings.Contains(fstab, " /var/lib/longhorn "+filesystem+" ") {
			t.Errorf("%s: fstab:\n%s", filesystem, fstab)
		}
	}
}

func TestMountedDisk_IsLeftAlone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.state("mounted", "")
	n.mustBoot()
	n.mustNotFormat()
	if calls := n.Calls(t, "mount"); calls != nil {
		t.Errorf("mount %q", calls)
	}
}

// The rule that matters most, over every answer that blkid can give and every place where data can be.
func TestDiskWithData_IsNeverFormatted(t *testing.T) {
	t.Parallel()
	blank := strings.Repeat("\x00", diskSize)
	contents := map[string]string{
		"blank":                     blank,
		"data in the first byte":    "x" + blank[1:],
		"data at the end of 1 MiB":  blank[:1<<20-1] + "x" + blank[1<<20:],
		"full of data":              strings.Repeat("replica ", diskSize/8),
		"smaller than it should be": "",
	}
	for name, content := range contents {
		for _, filesystem := range []string{"none", "", "xfs", "LVM2_member"} {
			for _, status := range []string{"0", "2", "8", "127"} {
				t.Run(fmt.Sprintf("%s, blkid %s says %q", name, status, filesystem), func(t *testing.T) {
					t.Parallel()
					nothingFound := status == "2" && (filesystem == "none" || filesystem == "")
					checkFormatting(t, content, filesystem, status, nothingFound && content == blank)
				})
			}
		}
	}
}

// checkFormatting boots a node with the given disk and answer of blkid and compares whether it was formatted.
func checkFormatting(t *testing.T, content, filesystem, status string, want bool) {
	t.Helper()
	n := newNode(t)
	testkit.WriteFile(t, n.disk, content)
	n.state("blkid-status", status)
	if filesystem != "none" {
		n.state("filesystem", filesystem+"\n")
	}
	output, _ := n.boot()
	if formatted := len(n.Calls(t, "mkfs.xfs")) == 1; formatted != want {
		t.Errorf("formatted: %t, want %t\n%s", formatted, want, output)
	}
	if !want && testkit.ReadFile(t, n.disk) != content {
		t.Errorf("the disk has changed\n%s", output)
	}
}

func TestNodeThatCannotBePrepared_StaysOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(n *node)
		reason string
	}{
		{"no data disk", func(n *node) { n.disks() }, "no EBS volume besides the root disk"},
		{"only a local SSD", func(n *node) {
			n.disks(n.disk + " disk Amazon EC2 NVMe Instance Storage")
		}, "no EBS volume besides the root disk"},
		{"two data disks", func(n *node) {
			n.disks(n.disk+" disk Amazon Elastic Block Store", "/dev/nvme2n1 disk Amazon Elastic Block Store")
		}, "more than one EBS volume"},
		{"partitions", func(n *node) { n.state("partitions", n.disk+"p1\n") }, "has partitions"},
		{"unknown content", func(n *node) {
			testkit.WriteFile(n.t, n.disk, strings.Repeat("replica ", diskSize/8))
		}, "is not blank, and blkid cannot tell what is on it"},
		{"a file system that Longhorn cannot use", func(n *node) {
			n.state("filesystem", "LVM2_member\n")
		}, "holds LVM2_member"},
		{"unknown root disk", func(n *node) { n.Stub(n.t, "findmnt", "exit 1") }, "cannot tell which disk is the root disk"},
		{"no mount", func(n *node) { n.Stub(n.t, "mount", "exit 32") }, "gave up: mount"},
		{"mount without effect", func(n *node) { n.Stub(n.t, "mount", "") }, "/var/lib/longhorn is not mounted"},
		{"no packages", func(n *node) { n.Stub(n.t, "dnf", "exit 1") }, "gave up: dnf install"},
		{"no kernel module", func(n *node) { n.Stub(n.t, "modprobe", "echo no iscsi_tcp; exit 1") }, "no iscsi_tcp"},
		{"no iscsid", func(n *node) {
			n.Stub(n.t, "systemctl", `[[ "$1" == daemon-reload ]] || { echo iscsid failed; exit 1; }`)
		}, "iscsid failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			test.change(n)
			n.mustStayOut(test.reason)
			if test.name != "no mount" && test.name != "mount without effect" {
				n.mustNotFormat()
			}
		})
	}
}

func TestLateDiskAndLatePackages_AreWaitedFor(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	third := `[[ "$(wc -l <"$STATE/calls-%s")" -ge 3 ]] || exit 1`
	n.Stub(t, "dnf", fmt.Sprintf(third, "dnf"))
	n.Stub(t, "findmnt", fmt.Sprintf(third, "findmnt")+"\necho /dev/nvme0n1p1")
	n.mustBoot()
	want := []string{"15", "15", "5", "5"}
	if calls := n.Calls(t, "sleep"); strings.Join(calls, " ") != strings.Join(want, " ") {
		t.Errorf("paused for %q seconds, want %q", calls, want)
	}
}
