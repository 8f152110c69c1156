#!/usr/bin/env bash
# scratch.sh MEMFUSE RECIPES root|user: tests packaging/ci/scratch.sh with a program that is
# installed already. Needs root itself.
set -euo pipefail
readonly memfuse=$1 recipes=$2 mode=$3
# shellcheck source=tests/testing/mount.sh
. "$(dirname "$(readlink -f "$0")")/../testing/mount.sh"

work=$(mktemp -d /tmp/ci-XXXXXX)
mount_point="$work/space/build cache"
user=
# shellcheck disable=SC2317
finish() {
  [[ -z $user ]] || kill "$user" 2>/dev/null || true
  umount -l "$mount_point" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
chmod 0755 "$work"
install -D -m 0755 "$memfuse" "$work/bin/memfuse"
install -m 0755 "$recipes/scratch.sh" "$work/scratch.sh"
mkdir "$work/space"
as=()
if [[ $mode == user ]]; then
  as=(setpriv --reuid nobody --regid nogroup --clear-groups --)
  chown nobody: "$work/space"
fi

# The path as mountinfo has it, for awk's -v.
escaped="$work/space/build\\\\040cache"
# scratch COMMAND [NAME=VALUE...]
scratch() {
  local command=$1
  shift
  "${as[@]}" env PATH="$work/bin:$PATH" MEMFUSE_PATH="$mount_point" MEMFUSE_SUDO=no "$@" \
    timeout 60 "$work/scratch.sh" "$command" >"$work/out" 2>&1
}
daemons() { pgrep -f "^[^ ]*memfuse .*-- $mount_point"; }
no_daemon() { ! daemons >/dev/null; }
expect_said() { grep -q "$1" "$work/out" || fail "no '$1' in: $(<"$work/out")"; }

touch "$work/github"
chmod 0666 "$work/github"
scratch mount MEMFUSE_SIZE=32m "MEMFUSE_OPTIONS=--mode=0750 --fsname=cache" GITHUB_OUTPUT="$work/github" ||
  fail "cannot mount: $(<"$work/out")"
is_mounted "$escaped" || fail "nothing is mounted"
[[ $(<"$work/github") == "path=$mount_point" ]] || fail "GITHUB_OUTPUT has '$(<"$work/github")'"
expect_said 32M
[[ $("${as[@]}" stat -c %a "$mount_point") == 750 ]] || fail "the options are not honoured"
# shellcheck disable=SC2016
"${as[@]}" bash -c 'echo kept >"$0/file"' "$mount_point"

scratch mount || fail "a second time: $(<"$work/out")"
expect_said "is mounted already"
[[ $("${as[@]}" cat "$mount_point/file") == kept ]] || fail "the second time took the file away"

# The mount is busy, and is unmounted nevertheless.
# shellcheck disable=SC2016
(cd "$work" && exec "${as[@]}" bash -c 'cd "$0" && exec sleep infinity' "$mount_point") &
user=$!
in_use() { [[ $(readlink "/proc/$user/cwd") == "$mount_point" ]]; }
wait_until 60 in_use
scratch unmount || fail "cannot unmount: $(<"$work/out")"
not_mounted "$escaped" || fail "it is still mounted"
kill "$user"
wait "$user" || true
user=
# The daemon exits a moment after the last user of the mount.
wait_until 60 no_daemon || fail "the daemon goes on: $(daemons)"
scratch unmount || fail "cannot repeat: $(<"$work/out")"
expect_said "is not mounted"

# After the daemon was killed.
scratch mount MEMFUSE_SIZE=1m || fail "cannot mount again: $(<"$work/out")"
kill -KILL "$(daemons)"
# The last threads of the daemon may still answer when its first thread is gone.
is_dead() { ! "${as[@]}" stat -f "$mount_point" >/dev/null 2>&1; }
wait_until 60 is_dead
scratch mount MEMFUSE_SIZE=1m || fail "cannot mount after a killed daemon: $(<"$work/out")"
expect_said "killed daemon"
scratch unmount || fail "cannot unmount: $(<"$work/out")"

# Errors are reported.
if scratch mount MEMFUSE_SIZE=lots; then fail "--size=lots was taken"; fi
expect_said "'lots' is no size"
if scratch mount MEMFUSE_PATH=here; then fail "a relative path was taken"; fi
expect_said "absolute path, not 'here'"
if scratch remove; then fail "an unknown command was taken"; fi
expect_said "neither mount nor unmount"
rm "$work/bin/memfuse"
if ! command -v memfuse >/dev/null; then
  if scratch mount; then fail "there is no memfuse, and no package"; fi
  expect_said "MEMFUSE_PACKAGE"
fi
