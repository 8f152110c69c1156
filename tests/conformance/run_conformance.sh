#!/usr/bin/env bash
# Mounts memfuse and a kernel tmpfs side by side and runs the conformance cases on both.
#
#   run_conformance.sh MEMFUSE CONFORMANCE_TEST root|user THREADS [memfuse flag ...] [-- gtest flag ...]
#
# As `user`, memfuse is mounted and used by an ordinary user through fusermount3; cases that need
# root are not part of that run. Needs root itself: it mounts the tmpfs.
set -euo pipefail

readonly memfuse=$1 cases=$2 mode=$3 threads=$4
shift 4
flags=()
while (($# > 0)) && [[ $1 != -- ]]; do
  flags+=("$1")
  shift
done
(($# == 0)) || shift

work=$(mktemp -d /tmp/conformance-XXXXXX)
readonly work
daemon=

finish() {
  local status=$?
  trap - EXIT
  cd /
  for mount in "$work/memfuse" "$work/tmpfs"; do
    umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null || true
  done
  if [[ -n $daemon ]]; then
    for _ in {1..50}; do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$daemon" 2>/dev/null; then
      echo "the daemon did not end" >&2
      kill -9 "$daemon"
      status=1
    fi
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

chmod 0755 "$work"
mkdir "$work/memfuse" "$work/tmpfs"
mount -t tmpfs -o size=1g,mode=1777 tmpfs "$work/tmpfs"

# The ordinary user may not be able to read the build directory; and fusermount3 wants one that has
# a name.
install -m 0755 "$memfuse" "$work/memfuse.program"
install -m 0755 "$cases" "$work/cases.program"
as=()
if [[ $mode == user ]]; then
  chown nobody: "$work/memfuse"
  as=(setpriv --reuid nobody --regid nogroup --clear-groups --)
fi
"${as[@]}" "$work/memfuse.program" "$work/memfuse" --foreground --threads="$threads" --size=1g \
  "${flags[@]}" 2>"$work/log" &
daemon=$!
for _ in {1..100}; do
  grep -q " $work/memfuse fuse" /proc/mounts && break
  if ! kill -0 "$daemon" 2>/dev/null; then
    cat "$work/log" >&2
    exit 1
  fi
  sleep 0.1
done

export CONFORMANCE_MEMFUSE_DIR=$work/memfuse CONFORMANCE_TMPFS_DIR=$work/tmpfs
timeout 600 "${as[@]}" "$work/cases.program" "$@"
