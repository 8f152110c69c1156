#!/bin/bash
# Every worker has a descriptor of its own, and there is no other.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"

descriptors() { find "/proc/$DAEMON/fd" -lname /dev/fuse | wc -l; }
workers() { grep -l '^memfuse-[0-9]*$' "/proc/$DAEMON/task/"*/comm | wc -l; }
children() { cat "/proc/$DAEMON/task/"*/children; }

for threads in 8 1 3; do
  start_memfuse "$MOUNT" --threads=$threads
  # The workers name themselves once they run.
  touch "$MOUNT/file"
  [[ $(descriptors) == "$threads" ]] ||
    fail "$(descriptors) descriptors of /dev/fuse, not $threads: $(ls -l "/proc/$DAEMON/fd")"
  has_workers() { [[ $(workers) == "$threads" ]]; }
  wait_until 10 has_workers || fail "$(workers) workers, not $threads"
  [[ -z $(children) ]] || fail "the daemon has children: $(children)"
  stop_memfuse "$MOUNT"
done
