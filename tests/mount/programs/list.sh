#!/bin/bash
# The list of mounts: 'memfuse' without arguments, and 'memfusectl list'.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3

use_memfusectl

# row DIRECTORY: its row, which is the same from both programs.
row() {
  "$MEMFUSE" >"$WORK/list" || fail "status $?"
  "$control" list >"$WORK/list2" || fail "status $?"
  grep -F "$1 " "$WORK/list" || true
}
# state DIRECTORY MEMBER...: what the JSON says.
state() {
  "$control" list --json | python3 -c 'import json, sys
for mount in json.load(sys.stdin)["mounts"]:
    if mount["mount_point"] == sys.argv[1]:
        value = mount
        for name in sys.argv[2:]:
            value = value[name]
        print(value)' "$@"
}

[[ -z $(row "$MOUNT") ]] || fail "a row without a mount"
mkdir "$WORK/second" "$WORK/third"
start_memfuse "$MOUNT" --size=32m --nr_inodes=500 --threads=2 --transport=dev --fsname=first
first=$DAEMON
start_memfuse "$WORK/second" --size=64m --transport=dev --nocontrol --data=daemon
second=$DAEMON
start_memfuse "$WORK/third" --size=64m --transport=dev
third=$DAEMON
mkdir "$MOUNT/directory"

[[ $(row "$MOUNT") =~ ^$MOUNT\ +first\ +32\.0\ MiB\ +[0-9.]+\ KiB\ +31\.9\ MiB\ +2\ +(daemon|passthrough)\ +/dev/fuse$ ]] ||
  fail "$(row "$MOUNT")"
[[ $(row "$WORK/second") =~ ^"$WORK/second"\ +memfuse\ +64\.0\ MiB\ +.*\ 1\ +daemon\ +/dev/fuse$ ]] ||
  fail "without a control socket: $(row "$WORK/second")"
[[ $(head -n 1 "$WORK/list") =~ ^"mount point"\ +source\ +size\ +used\ +available\ +inodes\ +store\ +transport$ ]] ||
  fail "$(head -n 1 "$WORK/list")"
[[ $(state "$MOUNT" server_pid) == "$first" && $(state "$MOUNT" size limit) == $((32 << 20)) ]] || fail "JSON"
[[ $(state "$MOUNT" uid) == "$EUID" && $(state "$MOUNT" state) == serves ]] || fail "JSON"
[[ $(state "$WORK/second" server_pid) == None ]] || fail "JSON without a control socket"

# Another user's view: no access to the mount of a user, or all of root's.
if [[ $MODE == root ]]; then
  chmod 0755 "$WORK" "$(dirname "$WORK")"
  setpriv --reuid=1001 --regid=2001 --clear-groups "$MEMFUSE" >"$WORK/list" || fail "another user"
  grep -q "^$MOUNT  *first  *32.0 MiB .*/dev/fuse$" "$WORK/list" || fail "$(<"$WORK/list")"
fi

# A stopped daemon and a dead one delay neither the list nor a program that reads it.
kill -STOP "$first"
kill -KILL "$second"
wait "$second" || true
before=$SECONDS
"$MEMFUSE" | cat >"$WORK/list"
((SECONDS - before < 15)) || fail "the list took $((SECONDS - before)) seconds"
grep -q "^$MOUNT  *first  .*  (no answer)$" "$WORK/list" || fail "$(<"$WORK/list")"
grep -q "^$WORK/second  *memfuse .*  (daemon has died)$" "$WORK/list" || fail "$(<"$WORK/list")"
grep -q "^$WORK/third  *memfuse  *64.0 MiB .*/dev/fuse$" "$WORK/list" || fail "$(<"$WORK/list")"
kill -CONT "$first"
if [[ $MODE == root ]]; then umount -l "$WORK/second"; else fusermount3 -uz "$WORK/second"; fi

for pair in "$first $MOUNT" "$third $WORK/third"; do
  DAEMON=${pair%% *}
  stop_memfuse "${pair#* }"
done
[[ -z $(row "$MOUNT") ]] || fail "a row after the unmount"
