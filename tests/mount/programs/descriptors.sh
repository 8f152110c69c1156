#!/bin/bash
# Every worker has its own descriptor of /dev/fuse, and there is no other one.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"

descriptors() { find "/proc/$DAEMON/fd" -lname /dev/fuse | wc -l; }
workers() { grep -l '^memfuse-[0-9]*$' "/proc/$DAEMON/task/"*/comm | wc -l; }
children() { cat "/proc/$DAEMON/task/"*/children; }

for threads in 8 1 3; do
  # With io_uring there are more descriptors, and root may have enabled it before the test.
  start_memfuse "$MOUNT" --threads=$threads --transport=dev
  # The workers set their names after they start.
  touch "$MOUNT/file"
  has_workers() { [[ $(workers) == "$threads" ]]; }
  wait_until 60 has_workers || fail "$(workers) workers, not $threads"
  [[ $(descriptors) == "$threads" ]] ||
    fail "$(descriptors) descriptors of /dev/fuse, not $threads: $(ls -l "/proc/$DAEMON/fd")"
  [[ -z $(children) ]] || fail "the daemon has children: $(children)"
  stop_memfuse "$MOUNT"
done
