#!/bin/bash
# An unprivileged user mounts on a directory inside their own mount. fusermount3 checks the mount
# point with root's credentials, and the kernel denies root access to a user's mount (unless it has
# --allow_other). In a user namespace the mount does not need fusermount3.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need fusermount3 unshare
[[ $MODE == user ]] || fail "is about an ordinary user"

start_memfuse "$MOUNT"
outer=$DAEMON
mkdir "$MOUNT/inner"

echo "through fusermount3"
if timeout 30 "$MEMFUSE" "$MOUNT/inner" --size=16m 2>"$WORK/error"; then
  fail "a user's mount could be made inside a user's mount"
fi
grep -q 'Permission denied' "$WORK/error" || fail "not EACCES: $(<"$WORK/error")"
not_mounted "$MOUNT/inner" || fail "it is mounted although that failed"

# Some systems do not let users make user namespaces.
if unshare --user --map-root-user --mount true 2>/dev/null; then
  echo "in a user namespace"
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 60 unshare --user --map-root-user --mount bash -euc '
    "$MEMFUSE" "$MOUNT/inner" --size=16m
    echo inside >"$MOUNT/inner/file"
    [[ $(<"$MOUNT/inner/file") == inside ]]
    umount "$MOUNT/inner"' || fail "not in a user namespace either"
  [[ -z $(ls -A "$MOUNT/inner") ]] || fail "something is in the directory below the mount"
fi

DAEMON=$outer
stop_memfuse "$MOUNT"
