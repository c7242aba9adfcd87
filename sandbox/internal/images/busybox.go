package images

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
)

// errNoBusybox says what to install.
var errNoBusybox = errors.New("the images' shell is this machine's static busybox: install Debian's or Ubuntu's package busybox-static")

// applets are the commands of an image with a shell: what the vendor's base, Ubuntu 24.04, has of them (facts, iris.md 1.6
// and 2.1: sh, bash, wget, no curl), and for Longhorn's stand-in what mounts. A script that needs another one fails here as there.
func applets() []string {
	return strings.Fields(`[ awk base64 basename cat chgrp chmod chown chroot clear cmp cp cut date dd df diff dirname dmesg du echo
		egrep env expand expr factor fallocate false fgrep find fold free getopt grep groups gunzip gzip head hostid hostname id
		ionice kill ln logname losetup ls md5sum mkdir mkfifo mknod mktemp more mount mv nl nproc nsenter od paste pidof printf ps
		pwd readlink realpath renice rev rm rmdir sed seq setpriv setsid sh sha1sum sha256sum sha512sum shuf sleep sort stat stty
		sync tac tail tar tee test timeout top touch tr true truncate tty umount uname uniq unlink uptime watch wc wget which who
		whoami xargs yes zcat`)
}

// findBusybox looks for a static busybox with all applets. An empty path looks on PATH.
func findBusybox(ctx context.Context, path string) (string, error) {
	if path == "" {
		path = "busybox"
	}
	file, err := exec.LookPath(path)
	if err != nil {
		return "", errNoBusybox
	}
	program, err := elf.Open(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	defer func() { _ = program.Close() }()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s needs libraries of this machine: %w", file, errNoBusybox)
		}
	}
	output, err := exec.CommandContext(ctx, file, "--list").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its applets: %w", file, err)
	}
	has := strings.Fields(string(output))
	for _, applet := range applets() {
		if !slices.Contains(has, applet) {
			return "", fmt.Errorf("%s has no %s: %w", file, applet, errNoBusybox)
		}
	}
	return file, nil
}

// userland is the layer with a shell, small tools and the directories that everybody expects.
func userland(busybox string) (tree, error) {
	t := tree{}
	for _, dir := range []string{"dev", "etc", "home", "mnt", "opt", "proc", "run", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/log"} {
		t.dir(dir, 0o755, 0)
	}
	t.dir("root", 0o700, 0)
	t.dir("tmp", 0o777|fs.ModeSticky, 0)
	t.dir("var/tmp", 0o777|fs.ModeSticky, 0)
	t.link("bin", "usr/bin")
	t.link("sbin", "usr/sbin")
	t.link("var/run", "/run")
	if err := t.program("usr/bin/busybox", busybox); err != nil {
		return nil, err
	}
	for _, applet := range applets() {
		t.link("usr/bin/"+applet, "busybox")
	}
	// Debian's busybox has no applet of this name. It is ash all the same, without arrays and other things of bash's own.
	t.file("usr/bin/bash", 0o755, 0, []byte("#!/bin/sh\nexec /bin/sh \"$@\"\n"))
	return t, nil
}
