# shellcheck shell=bash
# Functions for both kinds of package. `tree` is the root directory that is worked on, `work` where it
# and the logs are.
# shellcheck disable=SC2154  # install_test.sh sets what is not set here

say() { printf 'install_test: %4d s  %s\n' "$SECONDS" "$*"; }

fail() {
  say "FAILED: $*" >&2
  exit 1
}

# in_root COMMAND...
in_root() { timeout 120 chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ "$@"; }

# Some cases change roots and make user namespaces. The kernel refuses the latter within a chroot.
# shellcheck disable=SC2016  # expands in the inner shell
in_own_root() {
  unshare --mount --propagation private bash -c \
    'mount --rbind "$0" "$0" && cd "$0" && pivot_root . . && umount --lazy . && exec "$@"' "$tree" "$@"
}

# as_user COMMAND...: runs COMMAND as an unprivileged user.
as_user() { in_root setpriv --reuid tester --regid tester --clear-groups "$@"; }

# The devices and mounts that programs expect of a running system.
mount_kernel_files() {
  mkdir -p "$tree"/{dev,proc,sys}
  mount -t proc proc "$tree/proc"
  mount -t sysfs -o ro sysfs "$tree/sys"
  [[ -L $tree/etc/mtab ]] || ln -s ../proc/self/mounts "$tree/etc/mtab"
  [[ -e $tree/dev/null ]] || mknod -m 0666 "$tree/dev/null" c 1 3
  [[ -e $tree/dev/fuse ]] || mknod -m 0666 "$tree/dev/fuse" c 10 229
}

# remove_tree: removes the tree together with the rest of an earlier run; this namespace has no
# mounts there.
remove_tree() { rm -rf --one-file-system "$tree"; }

# type_of DIRECTORY: prints the type of the file system mounted there, in the tree; nothing if there
# is none.
type_of() {
  # The kernel writes a blank as \040.
  DIRECTORY=$tree${1// /\\040} awk '$5 == ENVIRON["DIRECTORY"] {
    for (i = 6; $i != "-"; i++);
    print $(i + 1) }' /proc/self/mountinfo
}

# check_use DIRECTORY: files can be written and read there, in the tree.
check_use() {
  [[ $(type_of "$1") == fuse.memfuse ]] || fail "there is no memfuse at $1"
  head -c 3000000 /dev/urandom >"$tree$1/file"
  mkdir "$tree$1/directory"
  cp "$tree$1/file" "$tree$1/directory/copy"
  cmp "$tree$1/file" "$tree$1/directory/copy" || fail "what is in $1 is not what was written"
  rm -r "$tree$1/file" "$tree$1/directory"
}

# wait_until SECONDS COMMAND...: until the command succeeds; fails when it does not in time. The
# command is repeated, because bash has no event for what it tests.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# A zombie counts as gone, because it no longer has a program.
is_gone() { [[ ! -e /proc/$1/exe ]]; }

# daemon_of DIRECTORY: prints the process that serves DIRECTORY, found by its argument.
daemon_of() {
  local process
  for process in /proc/[0-9]*; do
    if tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qxF -- "$1" &&
      [[ $(<"$process/comm") =~ ^(mount\.)?memfuse ]]; then
      echo "${process#/proc/}"
    fi
  done
}

# unmount DIRECTORY COMMAND...: runs COMMAND, after which DIRECTORY must be unmounted and its daemon
# gone.
unmount() {
  local directory=$1 daemon
  shift
  daemon=$(daemon_of "$directory")
  "$@" || fail "cannot unmount $directory"
  [[ -z $(type_of "$directory") ]] || fail "$directory is still mounted"
  [[ -n $daemon ]] || fail "no daemon served $directory"
  wait_until 60 is_gone "$daemon" || fail "$directory is unmounted, and process $daemon goes on"
}
