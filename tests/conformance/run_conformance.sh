#!/usr/bin/env bash
# Mounts memfuse and a kernel tmpfs, a large and a small one of each, and runs the conformance cases
# on them.
#
#   run_conformance.sh MEMFUSE CONFORMANCE_TEST root|user THREADS [memfuse flag ...] [-- gtest flag
#   ...]
#
# With `user`, an unprivileged user mounts and uses memfuse through fusermount3, without the cases
# that need root. The script itself needs root, because it mounts the tmpfs.
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
daemons=()
as=()
[[ $mode != user ]] || as=(setpriv --reuid nobody --regid nogroup --clear-groups --)

finish() {
  local status=$? mount daemon
  trap - EXIT
  cd /
  [[ -z $ring_before ]] || echo "$ring_before" >"$ring_switch"
  for mount in "$work"/{memfuse,tmpfs}{,-small}; do
    umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null || true
  done
  for daemon in "${daemons[@]}"; do
    # `wait` has no time limit.
    for _ in {1..600}; do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$daemon" 2>/dev/null; then
      echo "the daemon did not end" >&2
      kill -9 "$daemon"
      status=1
    fi
  done
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

# start NAME [flag ...]: mounts memfuse at $work/NAME, and waits for the line in its log that it
# serves. The log is read repeatedly, because bash has no event for a change of a file.
start() {
  local name=$1 daemon
  shift
  mkdir "$work/$name"
  [[ $mode != user ]] || chown nobody: "$work/$name"
  "${as[@]}" "$work/memfuse.program" "$work/$name" --foreground --threads="$threads" "$@" \
    2>"$work/$name.log" &
  daemon=$!
  daemons+=("$daemon")
  for _ in {1..600}; do
    grep -q " serving $work/$name: " "$work/$name.log" && return
    if ! kill -0 "$daemon" 2>/dev/null; then
      cat "$work/$name.log" >&2
      exit 1
    fi
    sleep 0.1
  done
  echo "memfuse did not mount in time" >&2
  exit 1
}

# FUSE over io_uring is off unless root enables it.
readonly ring_switch=/sys/module/fuse/parameters/enable_uring
ring_before=
for flag in "${flags[@]}"; do
  [[ $flag == --transport=uring ]] || continue
  ring_before=$(<"$ring_switch")
  echo Y >"$ring_switch"
done

chmod 0755 "$work"
mkdir "$work/tmpfs" "$work/tmpfs-small"
mount -t tmpfs -o size=1g,mode=1777 tmpfs "$work/tmpfs"
mount -t tmpfs -o size=16m,nr_inodes=200,mode=1777 tmpfs "$work/tmpfs-small"

# The user may lack permission to read the build directory, and fusermount3 needs a user with a
# name.
install -m 0755 "$memfuse" "$work/memfuse.program"
install -m 0755 "$cases" "$work/cases.program"
start memfuse --size=1g "${flags[@]}"
start memfuse-small --size=16m --nr_inodes=200 "${flags[@]}"

# The program reports the data store in the line about the start of service.
if grep -q 'file data: passthrough' "$work/memfuse.log"; then export CONFORMANCE_PASSTHROUGH=1; fi

export CONFORMANCE_MEMFUSE_DIR=$work/memfuse CONFORMANCE_TMPFS_DIR=$work/tmpfs
export CONFORMANCE_MEMFUSE_SMALL_DIR=$work/memfuse-small CONFORMANCE_TMPFS_SMALL_DIR=$work/tmpfs-small
# The deepest path needs as many open directories, and the default limit is 1024.
ulimit -Sn "$(ulimit -Hn)"
timeout "${CONFORMANCE_SECONDS:-600}" "${as[@]}" "$work/cases.program" "$@"
