#!/bin/bash
# run.sh CASE MEMFUSE root|user SECONDS [FLAG...]
#
# Runs CASE.sh with its own memfuse: as root, which mounts with mount(2), or entirely as an
# unprivileged user, who mounts through fusermount3. Every call of memfuse gets the flags. The case
# has SECONDS; processes that hang then are killed. A mount or process that the case leaves behind
# is a failure, too. run.sh is started by root.
#
# The case has these variables:
#   MEMFUSE  a copy of the program that the user may execute
#   MODE     root or user
#   WORK     its own directory on disk, with mount.sh in it
#   MOUNT    the mount point: its own empty directory
#   TMPFS    its own directory on the kernel's tmpfs
#   SOURCE   a copy of MEMFUSE_TEST_SOURCE, if that is set
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/testing/mount.sh
source "$here/../../testing/mount.sh"

(($# >= 4)) || fail "usage: run.sh CASE MEMFUSE root|user SECONDS [FLAG...]"
case_name=$1
program=$2
mode=$3
seconds=$4
flags=("${@:5}")
[[ $mode == root || $mode == user ]] || fail "unknown mode $mode"
((EUID == 0)) || fail "has to be run by root"
[[ -c /dev/fuse ]] || fail "there is no /dev/fuse"
need timeout setpriv fusermount3

base=$(mktemp -d "${TMPDIR:-/tmp}/memfuse_${case_name}_$mode.XXXXXX")

# The processes that run a program from $base, have their working directory there, or name it in an
# argument.
leftovers() {
  {
    find /proc -mindepth 2 -maxdepth 2 \( -name exe -o -name cwd \) -lname "$base/*"
    # shellcheck disable=SC2062 # these are files; the pattern comes by stdin
    grep -lF --file=- /proc/[0-9]*/cmdline <<<"$base/" # not an argument, because grep would find itself
  } 2>/dev/null | cut -d / -f 3 | sort -u || true # processes may exit in the meantime
}
# shellcheck disable=SC2317 # wait_until calls it
no_leftovers() { [[ -z $(leftovers) ]]; }

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  local pids=()
  restore_ring
  mapfile -t pids < <(leftovers)
  force_clean_up "$base" "${pids[@]}"
  rm -rf --one-file-system "$base"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

mkdir "$base"/{scratch,mount,tmpfs,home}
cp "$program" "$base/memfuse"
# Builds for stress tests have the daemon only.
if [[ -x ${program%/*}/memfusectl ]]; then cp "${program%/*}/memfusectl" "$base/"; fi
if ((${#flags[@]} > 0)); then
  mv "$base/memfuse" "$base/memfuse.program"
  printf '#!/bin/bash\nexec "%s" "$@" %s\n' "$base/memfuse.program" "${flags[*]}" >"$base/memfuse"
fi
if [[ " ${flags[*]} " == *" --transport=uring "* ]]; then enable_ring; fi
cp "$here/$case_name.sh" "$here/../../testing/mount.sh" \
  "$here/../../stress/tsan.supp" "$base/scratch/"
mount -t tmpfs -o size=1g,mode=0700 memfuse-test "$base/tmpfs"
variables=(
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  HOME="$base/home" TMPDIR="$base/scratch" LC_ALL=C.UTF-8
  MEMFUSE="$base/memfuse" MODE="$mode" LOG="$base/scratch/daemon.log"
  WORK="$base/scratch" MOUNT="$base/mount" TMPFS="$base/tmpfs"
  ASAN_OPTIONS=halt_on_error=1:exitcode=66
  TSAN_OPTIONS="halt_on_error=1:exitcode=66:suppressions=$base/scratch/tsan.supp"
  UBSAN_OPTIONS=halt_on_error=1:exitcode=66:print_stacktrace=1
)
# The settings of killed.sh.
for name in "${!KILLED_@}"; do variables+=("$name=${!name}"); done
if [[ -n ${MEMFUSE_TEST_SOURCE:-} ]]; then
  mkdir "$base/source"
  tar -C "$MEMFUSE_TEST_SOURCE" --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . |
    tar -C "$base/source" -xf -
  variables+=(SOURCE="$base/source")
fi
identity=()
if [[ $mode == user ]]; then
  identity=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
  chown -R 65534:65534 "$base"
fi
chmod 0755 "$base" "$base"/memfuse*

status=0
(
  cd "$base/scratch"
  exec timeout -k 10 "$seconds" "${identity[@]}" env -i "${variables[@]}" bash "./$case_name.sh"
) || status=$?
((status != 124 && status != 137)) || echo "$case_name: not finished after $seconds seconds" >&2

if ((status == 0)); then
  wait_until 60 no_leftovers || fail "left running: $(leftovers)"
  umount "$base/tmpfs" || fail "something is still in use on the tmpfs"
  left_mounted=$(mounts_below "$base")
  [[ -z $left_mounted ]] || fail "left mounted: $left_mounted"
fi
exit "$status"
