package lab

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestCheck_SaysEverythingThatIsMissingAtOnceWithItsPackages(t *testing.T) {
	t.Parallel()
	none := machine{
		find: func(string) string { return "" }, exists: func(string) bool { return false }, cgroups: errors.New("no control groups"),
	}
	err := none.check()
	if err == nil {
		t.Fatal("a machine with nothing will do")
	}
	for _, want := range []string{
		"root: ", "runc: ", "iptables: ", "mkfs.ext4: ", "mount: ", "busybox: ", "/dev/fuse: ", "/dev/loop-control: ", "no control groups",
		"inotify instances: ", "root has 0 left", "apt-get install runc iptables e2fsprogs mount busybox-static\n", "make up",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in\n%v", want, err)
		}
	}
}

func TestCheck_NamesOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	all := machine{
		root: true, find: func(program string) string { return "/usr/bin/" + program }, exists: func(string) bool { return true },
		watches: watchesPerLab,
	}
	if err := all.check(); err != nil {
		t.Errorf("with everything: %v", err)
	}
	lacks := all
	lacks.exists = func(path string) bool { return path != "/dev/fuse" }
	if err := lacks.check(); err == nil || !strings.Contains(err.Error(), "/dev/fuse") ||
		strings.Contains(err.Error(), "loop") || strings.Contains(err.Error(), "apt-get") {
		t.Errorf("without FUSE: %v", err)
	}
}

func TestOpenWatches_CountsThoseOfThisUser(t *testing.T) {
	const own, more = "/proc/self/fd/*", 5
	before := openWatches(own)
	for range more {
		watch, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(watch) })
	}
	if now := openWatches(own); now != before+more {
		t.Errorf("%d were open, and %d after %d more", before, now, more)
	}
}
