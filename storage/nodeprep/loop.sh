#!/bin/sh
# Runs prepare-node.sh in the node's namespaces, over and over. The file READY exists while the last run succeeded. A
# failure is not the end: the pod stays unready, says why, and tries again sooner.
READY="${READY:-/state/ready}"
SCRIPT="${SCRIPT:-/scripts/prepare-node.sh}"

trap 'exit 0' TERM INT
rm -f "$READY" # What a container before this one found out is old news.
while :; do
  if nsenter -t 1 -m -u -i -n -- /bin/bash -s <"$SCRIPT"; then
    touch "$READY"
    pause="$INTERVAL"
  else
    rm -f "$READY"
    pause=10
  fi
  # In the background, so that the end of the pod does not wait for it.
  sleep "$pause" &
  wait $!
done
