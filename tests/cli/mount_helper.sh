#!/bin/bash
# mount_helper.sh MEMFUSE CASE: tests mount(8) and umount(8) with mount.memfuse installed as a
# helper. Runs as root in its own mount namespace.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/testing/mount.sh
source "$here/../testing/mount.sh"
# shellcheck source=tests/cli/mount_namespace.sh
source "$here/mount_namespace.sh"
need findmnt fusermount3 mount mountpoint pkill setpriv stat umount unshare
((EUID == 0)) || fail "has to be run by root"

BASE=$(mktemp -d "${TMPDIR:-/tmp}/memfuse_helper.XXXXXX")
chmod 0755 "$BASE"
USER_ID=65534
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  local where
  for where in mount other tmpfs "a, b"; do umount -l "$BASE/$where" 2>/dev/null || true; done
  umount -l /etc/fstab "$(readlink -f /sbin)" "$BASE/sbin" "$BASE/sbin.real" 2>/dev/null || true
  rm -rf --one-file-system "$BASE"
}
trap clean_up EXIT
mkdir "$BASE"/{mount,other,tmpfs,"a, b"}
M=$BASE/mount
T=$BASE/tmpfs
# A copy that the unprivileged user may execute. The build directory may be accessible to root only.
cp "$1" "$BASE/memfuse" && chmod 0755 "$BASE/memfuse"
MEMFUSE=$BASE/memfuse
install_helpers

# The program itself says "memfuse" on stderr. The timeout ends a mount(8) that hangs.
run() { timeout 60 "$@"; }
as_user() { timeout 60 setpriv --reuid="$USER_ID" --regid="$USER_ID" --clear-groups "$@"; }
as_another() { timeout 60 setpriv --reuid=1 --regid=1 --clear-groups "$@"; }

# expect STATUS MESSAGE COMMAND...: checks the exit status of COMMAND, and that its output contains
# MESSAGE.
expect() {
  local status=0 said
  said=$("${@:3}" 2>&1) || status=$?
  ((status == $1)) || fail "exit status $status, not $1: ${*:3}: $said"
  [[ $said == *"$2"* ]] || fail "'$2' is not in what ${*:3} says: $said"
}
# shown DIRECTORY COLUMNS: prints the columns of the latest mount at DIRECTORY.
shown() { findmnt --noheadings --mountpoint "$1" --output "$2" | tail -n 1 | tr -s ' '; }
expect_shown() {
  local got
  got=$(shown "$1" "$2")
  [[ $got == "$3" ]] || fail "$1: $2 is '$got', not '$3'"
}
mounts_at() { findmnt --noheadings --mountpoint "$1" --output FSTYPE | grep -c fuse.memfuse || true; }
left_mounted() { findmnt --noheadings --types fuse.memfuse --output TARGET | grep "^$BASE" || true; }
size_of() { stat -f -c '%b %S' "$1" | { read -r blocks size; echo $((blocks * size)); }; }

case_by_hand() {
  expect 0 '' run mount -t memfuse none "$M" -o size=4m,threads=3
  expect_shown "$M" SOURCE,FSTYPE 'none fuse.memfuse'
  (($(size_of "$M") == 4 << 20)) || fail "the size is $(size_of "$M")"
  echo hello >"$M/file"
  [[ $(<"$M/file") == hello ]] || fail "not usable"
  expect 0 '' run umount "$M"

  # With and without fuse3's mount.fuse, which handles every fuse type without its own helper.
  for other in kept removed; do
    if [[ $other == removed ]]; then rm -f "$BASE/sbin/mount.fuse" "$BASE/sbin/mount.fuse3"; fi
    expect 0 '' run mount -t fuse.memfuse scratch "$M" -o size=4m
    expect_shown "$M" SOURCE,FSTYPE 'scratch fuse.memfuse'
    expect 0 '' run umount "$M"
  done

  expect 0 'would mount none on' run mount -f -v -t memfuse none "$M" -o size=4m
  expect 32 'does not exist' run mount -f -t memfuse none "$M/none"
  expect 1 'is no size' run mount -f -t memfuse none "$M" -o size=lots
  expect 1 "unknown mount option 'foo'" run mount -t memfuse none "$M" -o foo
  expect 1 'is not supported' run mount -t memfuse none "$M" -o casefold
  expect 32 'is not a directory' run mount -t memfuse none "$BASE/memfuse"
  not_mounted "$M" || fail "mounted in spite of an error"

  expect 0 'mounting none on' run mount -s -n -v -t memfuse none "$M" -o foo,casefold,size=4m
  (($(size_of "$M") == 4 << 20)) || fail "sloppy, it lost the size"
  expect 0 '' run umount "$M"

  # Values with a comma, in quotes and after a backslash.
  for quoted in '"a, b"' 'a\, b'; do
    expect 0 '' run mount -t memfuse none "$M" -o "log_dir=$BASE/$quoted,size=4m"
    compgen -G "$BASE/a, b/memfuse.INFO" >/dev/null || fail "no log in '$BASE/a, b'"
    expect 0 '' run umount "$M"
    rm -f "$BASE/a, b"/*
  done

  # In the mount namespace of another process, and not in this one.
  unshare --mount --propagation private sleep 600 &
  local neighbour=$!
  wait_until 60 eval "[[ \$(readlink /proc/$neighbour/ns/mnt) != \$(readlink /proc/self/ns/mnt) ]]"
  expect 0 '' run mount -N "$neighbour" -t memfuse none "$M" -o size=4m
  not_mounted "$M" || fail "mounted in the wrong namespace"
  grep -q "^none $M fuse.memfuse " "/proc/$neighbour/mounts" || fail "not mounted over there"
  expect 0 '' run umount -N "$neighbour" "$M"
  kill "$neighbour"
  wait "$neighbour" 2>/dev/null || true
}

case_fstab() {
  use_fstab \
    "none $M memfuse size=4m,nofail,x-systemd.automount,_netdev,comment=scratch 0 0" \
    "tmpfs ${BASE}/a,\\040b memfuse size=8m,noatime 0 0" \
    "none $BASE/other memfuse noauto,size=8m 0 0" \
    "none $BASE/missing memfuse nofail 0 0"
  # A line with nofail. mount(8) itself decides about the status of a failure.
  for _ in 1 2; do
    run mount -a 2>"$BASE/error_text" || true
    grep -q "mount.memfuse: mount point $BASE/missing does not exist" "$BASE/error_text" ||
      fail "mount -a says: $(<"$BASE/error_text")"
    (($(mounts_at "$M") == 1)) || fail "not mounted once: $(mounts_at "$M")"
    (($(mounts_at "$BASE/a, b") == 1)) || fail "a directory with a blank: $(left_mounted)"
    not_mounted "$BASE/other" || fail "noauto, and mounted"
  done
  expect_shown "$BASE/a, b" SOURCE,VFS-OPTIONS 'tmpfs rw,noatime'
  expect 0 '' run umount "$M" "$BASE/a, b"
  not_mounted "$M" || fail "still mounted"
  expect 0 '' run mount "$BASE/other"
  (($(size_of "$BASE/other") == 8 << 20)) || fail "the size is $(size_of "$BASE/other")"
  expect 0 '' run umount "$BASE/other"
}

# mount(8) passes a source that is a file in the working directory as the file's path.
case_sources() {
  cd "$BASE"
  ln -s memfuse link

  # Typed by a user: a directory, which is the mount point itself, a file, a directory in the root
  # directory.
  expect 0 '' run mount -t memfuse mount "$M" -o size=4m
  expect_shown "$M" SOURCE,FSTYPE 'mount fuse.memfuse'
  # A remount ignores the source.
  expect 0 '' run mount -o remount,size=5m "$M"
  expect 0 '' run mount -t memfuse memfuse "$M" -o remount,size=6m
  expect 0 '' run mount -t memfuse /dev/null "$M" -o remount,size=8m
  (($(size_of "$M") == 8 << 20)) || fail "the size is $(size_of "$M")"
  expect_shown "$M" SOURCE mount
  expect 0 '' run umount "$M"
  expect 0 'mounting memfuse on' run mount -v -t memfuse ./memfuse "$M" -o size=4m,fsname=memfuse
  expect_shown "$M" SOURCE memfuse
  expect 0 '' run umount "$M"
  expect 1 "fsname=other and the source 'memfuse'" run mount -t memfuse memfuse "$M" -o fsname=other
  (cd / && expect 0 '' run mount -t memfuse dev "$M" -o size=4m)
  expect_shown "$M" SOURCE dev
  # A second mount is refused. mount -a would try one, because it finds no path in /proc/mounts.
  (cd / && expect 0 "dev is mounted on $M already" run mount -t memfuse dev "$M" -o size=4m)
  (($(mounts_at "$M") == 1)) || fail "not mounted once: $(mounts_at "$M")"
  expect 0 '' run umount "$M"

  # Other paths stay names. Paths below /dev and /sys are refused, because systemd unmounts sources that
  # look like devices and do not exist.
  expect 0 '' run mount -t memfuse /no/such/path "$M" -o size=4m
  expect_shown "$M" SOURCE /no/such/path
  expect 0 '' run umount "$M"
  expect 1 "the source '/dev/null' is the path of a device" run mount -t memfuse /dev/null "$M"
  expect 1 "the source '/sys/none' is the path of a device" run mount -t memfuse /sys/none "$M"
  not_mounted "$M" || fail "mounted in spite of an error"

  # For any working directory, each line is mounted once with its options.
  use_fstab "mount $M memfuse size=4m 0 0" "link $BASE/other memfuse size=4m 0 0" \
    "$BASE/memfuse $T memfuse size=4m 0 0"
  local directory where
  for directory in "$BASE" / "$BASE" /; do
    (cd "$directory" && run mount -a 2>"$BASE/error_text") || fail "mount -a: $(<"$BASE/error_text")"
    expect_shown "$M" SOURCE mount
    expect_shown "$BASE/other" SOURCE link
    expect_shown "$T" SOURCE "$BASE/memfuse"
    for where in "$M" "$BASE/other" "$T"; do
      (($(mounts_at "$where") == 1)) || fail "$where is mounted $(mounts_at "$where") times"
    done
  done
  expect 0 '' run mount -o remount,size=8m "$BASE/other"
  (($(size_of "$BASE/other") == 8 << 20)) || fail "the size is $(size_of "$BASE/other")"

  # The stale mount of a killed daemon does not count as mounted.
  pkill -KILL -f "^[^ ]*mount.memfuse [^ ]* $BASE/other " || fail "there is no daemon to kill"
  wait_until 60 eval "! stat -f '$BASE/other' >/dev/null 2>&1"
  expect 32 'a daemon that is dead' run mount "$BASE/other"
  expect 0 '' run umount "$BASE/other"
  expect 0 '' run umount "$M" "$T"

  # A user may unmount a mount with the option "user" in its line, from any directory.
  chown "$USER_ID" "$M"
  use_fstab "memfuse $M memfuse user,noauto,size=4m 0 0"
  expect 0 '' as_user mount "$M"
  expect_shown "$M" SOURCE memfuse
  (cd / && expect 0 '' as_user umount "$M")
  not_mounted "$M" || fail "still mounted"
}

case_users() {
  chown "$USER_ID" "$M" "$BASE/other"
  use_fstab "none $M memfuse user,noauto,size=4m 0 0" \
    "none $BASE/other memfuse users,noauto,size=4m,exec 0 0" \
    "none $T memfuse user,noauto,size=4m 0 0"
  expect 0 '' as_user mount "$M"
  expect_shown "$M" SOURCE,FSTYPE,VFS-OPTIONS \
    'none fuse.memfuse rw,nosuid,nodev,noexec,relatime'
  as_user bash -c "echo hello >'$M/file' && [[ \$(<'$M/file') == hello ]]" || fail "not usable"
  if as_another ls "$M" 2>/dev/null; then fail "others may enter"; fi
  expect 32 'must be superuser' as_another umount "$M"
  expect 0 '' as_user umount "$M"
  not_mounted "$M" || fail "still mounted"

  expect 0 '' as_user mount "$BASE/other"
  expect_shown "$BASE/other" VFS-OPTIONS 'rw,nosuid,nodev,relatime'
  expect 0 '' as_another umount "$BASE/other"
  not_mounted "$BASE/other" || fail "a line with users: still mounted"

  # A mount that root made from such a line belongs to root.
  expect 0 '' run mount "$M"
  expect_shown "$M" VFS-OPTIONS 'rw,nosuid,nodev,noexec,relatime'
  expect 0 '' run umount "$M"
  # Neither the directory nor the option is allowed for unprivileged users.
  expect 1 'mount.memfuse: ' as_user mount "$T"
  expect 1 'nosymfollow is for root only' as_user "$BASE/sbin/mount.memfuse" none "$M" \
    -o nosymfollow
  [[ -z $(left_mounted) ]] || fail "mounted: $(left_mounted)"
}

# Compares with a real tmpfs with the same options: options that the kernel shows, limits, root
# directory.
same_as_tmpfs() {
  expect 0 '' run mount -t tmpfs tmpfs "$T" -o "$1"
  expect 0 '' run mount -t memfuse tmpfs "$M" -o "$1"
  local what
  for what in 'shown DIR SOURCE,VFS-OPTIONS' 'stat -c %a:%u:%g DIR' "$2"; do
    local theirs ours
    theirs=$(${what//DIR/$T})
    ours=$(${what//DIR/$M})
    [[ $theirs == "$ours" ]] || fail "$1: $what: '$ours', but on tmpfs '$theirs'"
  done
  run umount "$T"
  run umount "$M"
}
refused_as_on_tmpfs() {
  if run mount -t tmpfs tmpfs "$T" -o "$1" 2>/dev/null; then fail "tmpfs takes $1"; fi
  expect 1 'mount.memfuse: ' run mount -t memfuse tmpfs "$M" -o "$1"
}

# reads_move_atime DIRECTORY: prints whether a second read of a file moves its atime: yes or no. The
# kernel's clock for timestamps ticks at least every 10 ms, without an event that a program can wait
# for. A longer pause does not change the result.
reads_move_atime() {
  local before
  echo data >"$1/file"
  sleep 0.02
  cat "$1/file" >/dev/null
  before=$(stat -c %x "$1/file")
  sleep 0.02
  cat "$1/file" >/dev/null
  if [[ $(stat -c %x "$1/file") == "$before" ]]; then echo no; else echo yes; fi
}
listings_move_atime() {
  local before
  touch -a -d '3 days ago' "$1"
  before=$(stat -c %x "$1")
  find "$1" >/dev/null
  if [[ $(stat -c %x "$1") == "$before" ]]; then echo no; else echo yes; fi
}

case_tmpfs() {
  local options
  # Lines of fstab, of systemd's tmp.mount and of containers, with sizes that do not depend on the
  # machine.
  for options in defaults,noatime,nosuid,nodev,mode=1777,size=20m \
    mode=1777,strictatime,nosuid,nodev,size=50m,nr_inodes=1m rw,noexec,nosuid,size=65536k \
    rw,nosuid,nodev,relatime,size=8124k,nr_inodes=20310,mode=700,uid=1000,gid=1000,inode64 \
    size=4m,nr_blocks=2k nr_blocks=2k,size=4m size=0x100000,mode=01777 size=010m,mode=00000755 \
    size=4m,uid=0x10,gid=010,mode=755 size=65537 size=4m,size=8m ro,size=4m nr_blocks=1k,mode=0 \
    size=4m,nosymfollow size=4m,noatime,nodiratime size=4m,noatime,strictatime \
    size=4m,noatime,relatime size=4m,noatime,atime size=4m,nodiratime,diratime,nostrictatime \
    size=4m,lazytime,sync,dirsync,silent,iversion,norelatime size=4m,mpol=default,huge=never; do
    same_as_tmpfs "$options" 'size_of DIR'
  done
  for options in nr_inodes=0x10 nr_inodes=10k; do
    same_as_tmpfs "size=4m,$options" 'stat -f -c %c DIR'
  done
  for options in strictatime relatime noatime; do
    same_as_tmpfs "size=4m,$options" 'reads_move_atime DIR'
  done
  for options in strictatime nodiratime noatime diratime; do
    same_as_tmpfs "size=4m,$options" 'listings_move_atime DIR'
  done
  for options in size=1.5g size=-1 size= size=4kb size=5%% nr_blocks=10% nr_inodes=5% nr_inodes=-1 \
    mode=0o755 mode= uid=-1 huge=deny huge=force huge=2 foo; do
    refused_as_on_tmpfs "$options"
  done
}

declare -F "case_$2" >/dev/null || fail "no case $2"
"case_$2"
[[ -z $(left_mounted) ]] || fail "left mounted: $(left_mounted)"
