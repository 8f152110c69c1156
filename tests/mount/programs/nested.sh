#!/bin/bash
# An ordinary user mounts on a directory inside a mount of their own. fusermount3 looks at the mount
# point with root's rights, and the kernel does not let root into a user's mount (--allow_other lets
# everybody in). In a user namespace nobody has to ask fusermount3.
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

# Some systems keep users from making user namespaces.
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
