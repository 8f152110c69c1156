#!/usr/bin/env bash
# verify.sh MEMFUSE UNITS: systemd-analyze reports no error in the units, and the exposure level of
# the system unit is at most the one of its chosen hardening.
set -euo pipefail
readonly memfuse=$1 units=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work
messages=$work/messages

for kind in system user; do
  mkdir "$work/$kind"
  # The program need not be installed.
  sed "s|^ExecStart=memfuse |ExecStart=$memfuse |" "$units/$kind/memfuse@.service" \
    >"$work/$kind/memfuse@mnt-scratch.service"
  grep -q "^ExecStart=$memfuse " "$work/$kind/memfuse@mnt-scratch.service"
  systemd-analyze verify --man=no --"$kind" "$work/$kind/memfuse@mnt-scratch.service" 2>"$messages"
  # systemd-analyze exits with 0 after most of its messages. Messages about other units are allowed.
  if grep memfuse "$messages"; then exit 1; fi
done

# The threshold is in tenths.
systemd-analyze security --offline=true --threshold=32 --no-pager \
  "$work/system/memfuse@mnt-scratch.service" >"$work/security" ||
  { cat "$work/security" && exit 1; }
