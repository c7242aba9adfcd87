#!/bin/bash
# First boot of an EKS node (Amazon Linux 2023): iSCSI for Longhorn, and the data disk at its mount point.
#
# Runs before the kubelet: on AL2023 nodeadm-run, which starts it, comes after cloud-init's last stage. So a node that
# joins is ready for Longhorn, and one on which this fails must not join: it would look healthy and either lack iSCSI or
# let Longhorn write the replicas to the root disk. The order is part of that: the kubelet is held first, and the mount,
# which it waits for, comes last.
set -euo pipefail
shopt -s inherit_errexit

# Empty on a node; tests point it at a directory that plays the root.
ROOT="${HA_IRIS_ROOT:-}"
MOUNT_POINT=/var/lib/longhorn
# Package mirrors and disks are sometimes late on a fresh machine: 40 tries of 15 s and 5 s.
TRIES=40

# To stderr, because the functions below print their results. Both end up on the instance's console.
log() { echo "ha-iris node: $*" >&2; }
die() {
  log "$*"
  return 1
}

# write_once FILE TEXT writes a file unless it says exactly that already.
write_once() {
  local file="$ROOT$1" text="$2"
  if [[ -f "$file" && "$(<"$file")" == "$text" ]]; then
    return 0
  fi
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$text" >"$file"
}

# The kubelet starts only where the data disk is mounted, at this boot and at every later one. Not by a mask: AL2023's image
# has the unit's file in /etc/systemd/system, where systemctl mask wants to put its link, and so refuses. nodeadm-run asks
# for the kubelet and waits; a unit whose condition is not met is skipped, so the node never registers.
write_once /etc/systemd/system/kubelet.service.d/10-ha-iris.conf "[Unit]
ConditionPathIsMountPoint=$MOUNT_POINT"
systemctl daemon-reload

say_so() {
  local status=$?
  if ((status != 0)); then
    log "FAILED; this node will not join the cluster"
  fi
}
trap say_so EXIT

# retry SECONDS COMMAND... runs the command until it succeeds, TRIES times at most.
retry() {
  local pause="$1" try
  shift
  for ((try = 1; try <= TRIES; try++)); do
    if "$@"; then
      return 0
    fi
    log "try $try of $TRIES failed: $*"
    sleep "$pause"
  done
  die "gave up: $*"
}

prepare_iscsi() {
  # The last three for chattr, mkfs.xfs and cmp, should an image ever come without.
  retry 15 dnf install --assumeyes --quiet iscsi-initiator-utils e2fsprogs xfsprogs diffutils
  if ! grep --quiet --no-messages '^InitiatorName=' "$ROOT/etc/iscsi/initiatorname.iscsi"; then
    write_once /etc/iscsi/initiatorname.iscsi "InitiatorName=$(iscsi-iname)"
  fi
  write_once /etc/modules-load.d/longhorn.conf iscsi_tcp
  modprobe iscsi_tcp
  systemctl enable --now iscsid.service
}

# root_disk prints the disk that / lies on.
root_disk() {
  local source
  source="$(findmnt --noheadings --output SOURCE /)" || return
  lsblk --noheadings --paths --inverse --list --output NAME,TYPE "$source" | awk '$2 == "disk" { print $1; exit }'
}

# data_disk prints the one EBS volume besides the root's. Names of NVMe devices change from boot to boot and the link
# /dev/xvdb is not always there, so the disk is known by what it is. Local SSDs report another model.
data_disk() {
  local root candidates
  # Every "|| return" here: where a function's failure is looked at, as retry does, bash does not stop at it by itself.
  root="$(root_disk)" && [[ -n "$root" ]] || die "cannot tell which disk is the root disk" || return
  candidates="$(lsblk --noheadings --paths --nodeps --list --output NAME,TYPE,MODEL |
    awk -v root="$root" '$2 == "disk" && $1 != root && /Amazon Elastic Block Store/ { print $1 }')"
  [[ -n "$candidates" ]] || die "no EBS volume besides the root disk yet" || return
  [[ "$candidates" != *$'\n'* ]] || die "more than one EBS volume besides the root disk: ${candidates//$'\n'/ }" || return
  [[ "$(lsblk --noheadings --paths --list --output NAME "$candidates" | wc -l)" -eq 1 ]] ||
    die "$candidates has partitions: not the disk that the launch template added" || return
  echo "$candidates"
}

# filesystem DEVICE prints the type of what is on the device; nothing only when the device is provably blank. Two
# witnesses, because a disk with data must never be formatted: blkid finds nothing either on what it does not know or
# cannot read.
filesystem() {
  local device="$1" type status=0
  type="$(blkid --probe --match-tag TYPE --output value "$device")" || status=$?
  if ((status == 0)) && [[ -n "$type" ]]; then
    echo "$type"
  elif ((status == 2)) && [[ -z "$type" ]] && cmp --quiet --bytes=1048576 "$device" /dev/zero; then
    log "$device is blank"
  else
    die "$device is not blank, and blkid cannot tell what is on it (status $status)"
  fi
}

mount_data_disk() {
  if mountpoint --quiet "$ROOT$MOUNT_POINT"; then
    log "$MOUNT_POINT is mounted already"
    return 0
  fi
  local device type uuid
  device="$(retry 5 data_disk)"
  type="$(filesystem "$device")"
  if [[ -z "$type" ]]; then
    mkfs.xfs -q "$device" # Without -f: mkfs.xfs itself refuses a disk with a file system.
    type=xfs
  fi
  [[ "$type" == xfs || "$type" == ext4 ]] || die "$device holds $type, which Longhorn cannot use"
  uuid="$(blkid --probe --match-tag UUID --output value "$device")"
  [[ -n "$uuid" ]] || die "$device has no UUID"
  mkdir -p "$ROOT$MOUNT_POINT"
  # Immutable while nothing is mounted on it: if the mount is ever missing, Longhorn cannot write to the root disk.
  chattr +i "$ROOT$MOUNT_POINT"
  # By UUID, because the name changes; nofail, because a node that hangs in its boot cannot even be looked at; and
  # before the kubelet at every later boot: systemd looks at the kubelet's condition once the mount is done or has failed.
  local wait=x-systemd.device-timeout=60,x-systemd.before=kubelet.service
  if ! grep --quiet " $MOUNT_POINT " "$ROOT/etc/fstab"; then
    echo "UUID=$uuid $MOUNT_POINT $type defaults,noatime,nofail,$wait 0 2" >>"$ROOT/etc/fstab"
  fi
  retry 5 mount "$ROOT$MOUNT_POINT"
  mountpoint --quiet "$ROOT$MOUNT_POINT" || die "$MOUNT_POINT is not mounted"
}

prepare_iscsi
mount_data_disk
log "ready for Longhorn"
