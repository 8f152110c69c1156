#!/bin/bash
# umount -f: the kernel aborts a FUSE connection before it checks whether the mount is busy, and no
# server can prevent that. If a kernel fixes this, the test fails, and the line in the README must
# be removed.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need umount

# holds DIRECTORY: the file that was written there can be read.
holds() { [[ $(timeout 20 cat "$1/file" 2>/dev/null) == precious ]]; }

refused_on_tmpfs() {
  echo precious >"$TMPFS/file"
  exec 9<"$TMPFS/file"
  if umount -f "$TMPFS" 2>"$WORK/error"; then fail "a busy tmpfs could be unmounted"; fi
  holds "$TMPFS" || fail "tmpfs lost a file"
  exec 9<&-
}

# expect_lost: the daemon exits, and the mount point is free again.
expect_lost() {
  if holds "$MOUNT"; then fail "the connection outlived umount -f"; fi
  wait_until 20 is_gone "$DAEMON" || fail "the daemon survives an aborted connection"
  wait "$DAEMON" || true
  wait_until 60 not_mounted "$MOUNT" || fail "still in the mount table"
}

refused_and_lost() {
  start_memfuse "$MOUNT" --data="$1"
  echo precious >"$MOUNT/file"
  exec 9<"$MOUNT/file"
  if umount "$MOUNT" 2>"$WORK/error"; then fail "a busy mount could be unmounted"; fi
  holds "$MOUNT" || fail "umount without -f lost a file"
  if umount -f "$MOUNT" 2>"$WORK/error"; then fail "a busy mount could be unmounted by force"; fi
  grep -qi busy "$WORK/error" || fail "not EBUSY: $(<"$WORK/error")"
  expect_lost
  exec 9<&-
}

# A bind mount of it behaves the same.
lost_by_another_mount() {
  start_memfuse "$MOUNT" --data="$1"
  echo precious >"$MOUNT/file"
  mkdir -p "$WORK/bind"
  mount --bind "$MOUNT" "$WORK/bind"
  umount -f "$WORK/bind"
  expect_lost
}

refused_on_tmpfs
for data in passthrough daemon; do
  for scenario in refused_and_lost lost_by_another_mount; do
    echo "$scenario, --data=$data"
    $scenario "$data"
  done
done
