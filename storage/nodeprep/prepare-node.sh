#!/bin/bash
# Makes a running node ready for Longhorn's V1 data engine: iSCSI initiator, iscsid, iscsi_tcp, and multipathd kept away
# from Longhorn's devices. Runs in the node's own namespaces, again and again; changes only what is not right yet.
set -euo pipefail
shopt -s inherit_errexit

# Empty on a node; tests point it at a directory that plays the root.
ROOT="${HA_IRIS_ROOT:-}"

log() { echo "prepare-node: $*"; }
die() {
  log "$*"
  exit 1
}

# write_once FILE TEXT writes a file and succeeds; it fails when the file says exactly that already.
write_once() {
  local file="$ROOT$1" text="$2"
  if [[ -f "$file" && "$(<"$file")" == "$text" ]]; then
    return 1
  fi
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$text" >"$file"
  log "wrote $1"
}

has() { command -v "$1" >/dev/null; }

install_initiator() {
  if has iscsiadm; then
    return 0
  fi
  log "no iscsiadm; installing it"
  if has apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet
    apt-get install --quiet --yes --no-install-recommends open-iscsi
  elif has dnf; then
    dnf install --assumeyes --quiet iscsi-initiator-utils
  elif has zypper; then
    zypper --non-interactive install --no-recommends open-iscsi
  else
    die "this node has no iSCSI initiator and no package manager that this script knows: use an image that brings one"
  fi
}

name_initiator() {
  # GenerateName=yes (Debian, Ubuntu) lets the service make up the name at its first start.
  if ! grep --quiet --no-messages --extended-regexp '^(InitiatorName=|GenerateName=yes)' "$ROOT/etc/iscsi/initiatorname.iscsi"; then
    write_once /etc/iscsi/initiatorname.iscsi "InitiatorName=$(iscsi-iname)"
  fi
}

start_iscsi() {
  write_once /etc/modules-load.d/longhorn.conf iscsi_tcp || true # After a reboot as well.
  modprobe iscsi_tcp
  # Not only the socket that starts it on demand: Longhorn runs iscsiadm in the namespaces of the running process.
  systemctl is-active --quiet iscsid.service || log "starting iscsid"
  systemctl enable --now --quiet iscsid.service
}

# Longhorn, "Volume fails to attach because of multipath": multipathd takes every new SCSI disk, Longhorn's included, and
# the mount then fails with "already mounted or mount point busy".
tame_multipath() {
  if ! has multipathd; then
    return 0
  fi
  local blacklist='# Longhorn attaches its volumes as SCSI disks.
blacklist {
    devnode "^sd[a-z0-9]+"
}'
  if write_once /etc/multipath/conf.d/longhorn.conf "$blacklist" && systemctl is-active --quiet multipathd.service; then
    systemctl restart multipathd.service
  fi
}

check() {
  iscsiadm --version >/dev/null || die "iscsiadm does not run"
  systemctl is-active --quiet iscsid.service || die "iscsid does not run"
  [[ -d "$ROOT/sys/module/iscsi_tcp" ]] || die "the kernel module iscsi_tcp is not loaded"
}

main() {
  install_initiator
  name_initiator
  start_iscsi
  tame_multipath
  check
  log "ready for Longhorn"
}

# The script itself comes in by stdin; a package manager that reads from there would swallow the rest of it.
main </dev/null
