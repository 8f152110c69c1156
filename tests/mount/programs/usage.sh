#!/bin/bash
# memfusectl usage on a real mount: directories, types, large and deleted files, beside du and df, for
# both stores, while a program writes, and for other users.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need curl python3 setpriv

use_memfusectl

# fails_with SENTENCE WORD...
fails_with() {
  local sentence=$1
  shift
  if "$@" >"$WORK/out" 2>"$WORK/said"; then fail "accepted: $*"; fi
  [[ $(<"$WORK/said") == "memfusectl: $sentence"* && ! -s $WORK/out ]] || fail "$*: $(<"$WORK/said")"
}

# The tree and what has no name add up to what df shows. The kernel may not have sent every FORGET.
adds_up() {
  local tree deleted used inodes
  "$control" usage "$MOUNT" --by=dir --json >"$WORK/tree" || return 1
  "$control" usage "$MOUNT" --deleted --json >"$WORK/deleted" || return 1
  tree=$(member total bytes <"$WORK/tree")
  deleted=$(member total bytes <"$WORK/deleted")
  # df leaves out what nothing but a FORGET keeps; memfusectl status has it.
  "$control" status "$MOUNT" --json >"$WORK/status"
  used=$(member size used <"$WORK/status")
  inodes=$(member inodes used <"$WORK/status")
  [[ $((tree + deleted + $(member being_freed <"$WORK/deleted"))) == "$used" ]] &&
    [[ $(($(member total inodes <"$WORK/tree") + $(member total inodes <"$WORK/deleted"))) == "$inodes" ]]
}

check_store() {
  start_memfuse "$MOUNT" --size=256m "--data=$1"
  mkdir -p "$MOUNT/a/b" "$MOUNT/empty" "$MOUNT/new"$'\n'"line"
  cp -R /usr/include/linux "$MOUNT/a/" 2>/dev/null || cp -R /etc/. "$MOUNT/a/" 2>/dev/null || true
  head -c 3000000 /dev/zero >"$MOUNT/a/b/big"
  ln "$MOUNT/a/b/big" "$MOUNT/a/link"
  truncate -s 1g "$MOUNT/empty/sparse"
  ln -s a "$MOUNT/symlink"
  mkfifo "$MOUNT/fifo"
  (
    cd "$MOUNT/empty"
    for ((i = 0; i < 300; ++i)); do mkdir d && cd d; done
  )
  wait_until 20 adds_up || fail "$1: $(<"$WORK/tree") $(<"$WORK/deleted") $(<"$WORK/status")"
  [[ $(member total disk_usage <"$WORK/tree") == $(du -s --block-size=1 "$MOUNT" | cut -f 1) ]] ||
    fail "$1: du: $(du -s --block-size=1 "$MOUNT") $(<"$WORK/tree")"
  "$control" usage "$MOUNT" --by=dir >"$WORK/usage"
  grep -qE '^ +[0-9.]+ [KM]iB +[0-9,]+  a/$' "$WORK/usage" || fail "$(<"$WORK/usage")"
  grep -qF "\$'new\\nline'/" "$WORK/usage" || fail "$(<"$WORK/usage")"
  [[ $("$control" usage "$MOUNT/a/b" --by=dir --json | member path) == /a/b ]] || fail "a path"
  [[ $(cd "$MOUNT/a" && "$control" usage . /a/b --by=dir --json | member total inodes) == 2 ]] ||
    fail "a path in the file system"
  "$control" usage "$MOUNT" --by=type | grep -qE ' 1  fifo$' || fail "types"
  [[ $("$control" usage "$MOUNT" --largest --limit=1 --json | member largest 0 size) == 3000000 ]] ||
    fail "the largest file"

  # A deleted file, and the process that holds it.
  exec 7>"$MOUNT/held"
  head -c 100000 /dev/zero >&7
  rm "$MOUNT/held"
  wait_until 20 holds_one || fail "$1: $("$control" usage "$MOUNT" --deleted)"
  exec 7>&-

  # Walks while a program writes.
  (
    cd "$MOUNT"
    for ((i = 0; i < 200; ++i)); do
      mkdir "w$i" && echo text >"w$i/f" && mv "w$i" a/ && rm -r "a/w$i"
    done
  ) &
  local writer=$!
  while ! is_gone "$writer"; do "$control" usage "$MOUNT" --by=dir >/dev/null; done
  wait "$writer"
  wait_until 20 adds_up || fail "$1: after changes: $(<"$WORK/tree") $(<"$WORK/deleted")"
}

# shellcheck disable=SC2317 # wait_until calls it
holds_one() {
  "$control" usage "$MOUNT" --deleted >"$WORK/usage" &&
    grep -qE " regular +$(id -u) +1 .*$$ \(bash\)" "$WORK/usage"
}

check_store daemon

# Wrong questions.
fails_with "--by: 'x' is none of uid, gid, path, dir" "$control" usage "$MOUNT" --by=x
fails_with "only one of --by, --largest and --deleted" "$control" usage "$MOUNT" --by=dir --deleted
fails_with "'limit' is no number from 1 to 1000" "$control" usage "$MOUNT" --by=dir --limit=0
fails_with "--limit goes with" "$control" usage "$MOUNT" --limit=3
fails_with "no directory '/none': No such file" "$control" usage "$MOUNT" /none --by=dir
fails_with "no directory '/symlink': Not a directory" "$control" usage "$MOUNT" /symlink --by=dir
fails_with "'path' contains" "$control" usage "$MOUNT" /a/../a --by=dir
fails_with "$MOUNT/a/b/big: it is not a directory" "$control" usage "$MOUNT/a/b/big" --by=dir
fails_with "no memfuse is mounted on /proc" "$control" usage /proc --by=dir

device=$(stat -c '%Hd:%Ld' "$MOUNT")
directory=$XDG_RUNTIME_DIR
if [[ $MODE == root ]]; then directory=/run; fi
ask() { curl --silent --unix-socket "$directory/memfuse/$device.sock" "http://memfuse/v1/usage$1"; }
[[ $(ask '?by=dir&path=/a/b&limit=5' | member total inodes) == 2 ]] || fail "curl"
[[ $(ask '?by=dir&path=/a%2' | member error) == "a '%' in the query"* ]] || fail "a bad query"
[[ $(ask '?depth=2' | member error) == "the query has the unknown name 'depth'" ]] || fail "a name"
[[ $(ask /progress | member walking) == False ]] || fail "progress"

# Another user sees no names, and only deleted files of its own.
if [[ $MODE == root ]]; then
  other=(setpriv --reuid=1001 --regid=2001 --clear-groups)
  chmod 0755 "$WORK" "$(dirname "$WORK")"
  refused="only root and the user who runs the daemon may see directories and files"
  fails_with "$refused" "${other[@]}" "$control" usage "$MOUNT" --by=dir
  fails_with "$refused" "${other[@]}" "$control" usage "$MOUNT" --largest
  fails_with "$refused" "${other[@]}" "$control" usage "$MOUNT/a" --by=type
  # A walk of a user waits until 19 times the duration of the last one has passed.
  wait_until 60 "${other[@]}" "$control" usage "$MOUNT" --by=type >/dev/null ||
    fail "types for another user"
  exec 7>"$MOUNT/held"
  rm "$MOUNT/held"
  # shellcheck disable=SC2317 # wait_until calls it
  deleted_of_other() { "${other[@]}" "$control" usage "$MOUNT" --deleted --json >"$WORK/deleted"; }
  wait_until 60 deleted_of_other || fail "deleted files of another user"
  [[ $(member total inodes <"$WORK/deleted") == 0 ]] || fail "deleted files of others"
  exec 7>&-
fi
stop_memfuse "$MOUNT"

if [[ $MODE == root ]] && kernel_has_passthrough; then
  check_store passthrough
  stop_memfuse "$MOUNT"
fi
