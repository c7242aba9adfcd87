package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTreesOf_KnowsBothVersions(t *testing.T) {
	t.Parallel()
	const v1 = `30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 30 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:8 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw
34 30 0:28 / /elsewhere/memory rw - cgroup cgroup rw,memory
`
	paths, unified, err := treesOf(v1)
	if want := []string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"}; err != nil || unified || !slices.Equal(paths, want) {
		t.Errorf("version 1: got %v, unified %t, %v", paths, unified, err)
	}
	paths, unified, err = treesOf("30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
	if err != nil || !unified || !slices.Equal(paths, []string{"/sys/fs/cgroup"}) {
		t.Errorf("version 2: got %v, unified %t, %v", paths, unified, err)
	}
	if paths, _, err := treesOf("22 1 8:1 / / rw - ext4 /dev/sda1 rw\nhalf a line\n"); err == nil {
		t.Errorf("without: got %v", paths)
	}
}

// groups makes directories that look as the kernel makes control groups.
func groups(t *testing.T, files map[string]string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if content, err := os.ReadFile(path); err != nil || string(content) != want {
		t.Errorf("%s: got %q, %v; want %q", path, content, err, want)
	}
}

func TestMakeGroup_GivesVersion1TheCPUsOfTheGroupAbove(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	groups(t, map[string]string{"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"}, tree)
	groups(t, map[string]string{"cpuset.cpus": "\n", "cpuset.mems": "\n"}, tree+"/lab/a", tree+"/lab")
	for range 2 { // the second time changes nothing
		if err := makeGroup(tree, "/lab/a", false); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"/lab", "/lab/a"} {
		wantContent(t, tree+dir+"/cpuset.cpus", "0-1\n")
		wantContent(t, tree+dir+"/cpuset.mems", "0\n")
	}
	groups(t, map[string]string{"cpuset.cpus": "1\n"}, tree+"/lab/a")
	if err := makeGroup(tree, "/lab/a", false); err != nil {
		t.Fatal(err)
	}
	wantContent(t, tree+"/lab/a/cpuset.cpus", "1\n") // somebody's choice
}

func TestMakeGroup_HandsVersion2ControllersDownToTheGroupItself(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	dirs := []string{tree, tree + "/lab", tree + "/lab/a"}
	groups(t, map[string]string{"cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": ""}, dirs...)
	if err := makeGroup(tree, "/lab/a", true); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		wantContent(t, dir+"/cgroup.subtree_control", "+cpu +memory +pids")
	}
}

func TestMakeGroup_MakesWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	if err := makeGroup(tree, "/lab/a", false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tree + "/lab/a"); err != nil {
		t.Error(err)
	}
	if err := makeGroup(tree, "/lab/a", true); err == nil {
		t.Error("a group without controllers is no group of version 2")
	}
}

// The kernel refuses to remove a group that has others below it.
func TestRemoveGroup_RemovesTheDeepestFirstAndIsFineTwice(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	groups(t, nil, tree+"/lab/a/kubepods/pod1", tree+"/lab/a/kubepods/pod2", tree+"/lab/b", tree+"/other")
	for range 2 {
		if err := removeGroup(tree + "/lab"); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(tree)
	if err != nil || len(entries) != 1 || entries[0].Name() != "other" {
		t.Errorf("got %v, %v; want the other group only", entries, err)
	}
}
