#!/usr/bin/env bash
# verify.sh MEMFUSE UNITS: systemd finds nothing wrong with the units, and the system's is no more
# exposed than it was when its hardening was chosen.
set -euo pipefail
readonly memfuse=$1 units=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work
complaints=$work/complaints

for kind in system user; do
  mkdir "$work/$kind"
  # The program need not be installed.
  sed "s|^ExecStart=memfuse |ExecStart=$memfuse |" "$units/$kind/memfuse@.service" \
    >"$work/$kind/memfuse@mnt-scratch.service"
  grep -q "^ExecStart=$memfuse " "$work/$kind/memfuse@mnt-scratch.service"
  systemd-analyze verify --man=no --"$kind" "$work/$kind/memfuse@mnt-scratch.service" 2>"$complaints"
  # It exits with 0 after most of what it complains of; of other units it may.
  if grep memfuse "$complaints"; then exit 1; fi
done

# In tenths.
systemd-analyze security --offline=true --threshold=32 --no-pager \
  "$work/system/memfuse@mnt-scratch.service" >"$work/security" ||
  { cat "$work/security" && exit 1; }
