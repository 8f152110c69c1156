#!/bin/bash
# Runs the tests on one kernel, inside the virtual machine. Prints a line for each part, and for
# each conformance case that fails. The full output is in /tests/logs. The kernel's command line has
# parts=, filter= and accel= of run.sh. The parts are functions that are called by name.
# shellcheck disable=SC2317
set -u
cd /tests || exit 1
# shellcheck source=tests/testing/mount.sh
source testing/mount.sh

# option NAME
option() { grep -o "\b$1=[^ ]*" /proc/cmdline | cut -d = -f 2-; }

parts=$(option parts) filter=$(option filter)
readonly parts
# Emulation is slower by this factor.
time_factor=1
[[ $(option accel) != tcg ]] || time_factor=6
readonly time_factor
# This would take five minutes under emulation.
if [[ $filter == '*' && $time_factor -gt 1 ]]; then filter='-*.AHundredThousandEntries/*'; fi
readonly filter
export CONFORMANCE_SECONDS=$((900 * time_factor))
status=0

# part NAME SECONDS COMMAND...: runs the command, a function of this script or a program.
part() {
  local name=$1 seconds=$(($2 * time_factor)) begin=$SECONDS result=passed log=/tests/logs/$1
  shift 2
  [[ -z $parts || ,$parts, == *,$name,* ]] || return 0
  echo "begin $name"
  timeout -k 10 "$seconds" unshare --mount --propagation private "${BASH_SOURCE[0]}" --run "$@" 2>&1 |
    tee "$log" | report_cases
  [[ ${PIPESTATUS[0]} -eq 0 ]] || result=FAILED
  echo "part $name $result $((SECONDS - begin)) s"
  if [[ $result != passed ]]; then
    status=1
    tail -n 5 "$log"
    clean_up
  fi
}

# Prints the messages of GoogleTest about failed cases, and its progress.
report_cases() {
  local line count=0
  while IFS= read -r line; do
    case $line in
      '[       OK ]'*) ((++count % 500 != 0)) || echo "$count cases passed" ;;
      '[  FAILED  ]'*' ms)') echo "$line" ;;
    esac
  done
}

# Continues after a failure. The host ends a machine that hangs.
clean_up() {
  local connection
  for connection in /sys/fs/fuse/connections/*/abort; do
    [[ ! -e $connection ]] || echo 1 >"$connection"
  done
  killall -q -KILL memfuse
  umount -a -l -t fuse.memfuse
}

install_package() {
  dpkg --install memfuse.deb && memfuse --version
}

# check_use DIRECTORY COMMAND...: files can be written and read there, and COMMAND unmounts it.
check_use() {
  local directory=$1
  shift
  [[ $(findmnt --noheadings --output FSTYPE "$directory") == fuse.memfuse ]] ||
    fail "there is no memfuse at $directory"
  head -c 3000000 /dev/urandom >"$directory/file"
  mkdir "$directory/directory"
  cp "$directory/file" "$directory/directory/copy"
  cmp "$directory/file" "$directory/directory/copy" || fail "what is in $directory is not what was written"
  [[ $(df --output=used "$directory" | tail -n 1) -ge 5800 ]] || fail "df does not know of the files"
  rm -r "$directory/file" "$directory/directory"
  "$@" || fail "cannot unmount $directory"
  findmnt "$directory" && fail "$directory is still mounted"
  return 0
}

use_mounts() {
  local wanted=daemon
  memfuse /mnt/hand --size=64m && check_use /mnt/hand umount /mnt/hand || exit 1
  mount -t memfuse none /mnt/helper -o size=64m,mode=1777 && check_use /mnt/helper umount /mnt/helper ||
    exit 1
  echo "none /mnt/fstab memfuse size=64m,nofail,x-systemd.requires=/ 0 0" >/etc/fstab
  mount /mnt/fstab && check_use /mnt/fstab umount /mnt/fstab || exit 1

  # The kernel determines the data store.
  if kernel_has_passthrough; then wanted=passthrough; fi
  memfuse /mnt/hand --foreground --size=64m 2>/run/log &
  wait_until $((60 * time_factor)) grep -qs ' serving /mnt/hand: ' /run/log ||
    fail "the daemon does not serve: $(</run/log)"
  cat /run/log
  umount /mnt/hand
  wait $! || fail "the daemon failed"
  if [[ $wanted == passthrough ]]; then
    grep -q 'file data: passthrough' /run/log || fail "no passthrough"
  else
    grep -q 'file data: passthrough' /run/log && fail "passthrough on an old kernel"
    memfuse /mnt/hand --data=passthrough && fail "--data=passthrough is accepted"
  fi
  if ! kernel_is_at_least 6.14; then
    memfuse /mnt/hand --transport=uring && fail "--transport=uring is accepted"
  fi
  if ! kernel_is_at_least 6.4; then
    memfuse /mnt/hand --noswap && fail "--noswap is accepted"
  fi
  return 0
}

# An unprivileged user, through fusermount3.
use_as_user() {
  local home=/home/tester
  setpriv --reuid tester --regid tester --clear-groups env -i PATH="$PATH" HOME="$home" bash -c '
    set -e
    mkdir ~/mount
    memfuse ~/mount --size=64m
    echo mine >~/mount/file
    grep -qx mine ~/mount/file
    df ~/mount
    fusermount3 -u ~/mount
    rmdir ~/mount'
}

# fill DATA: the mount accepts exactly the space that df reports, then fails with ENOSPC, and has
# all of it back after a delete.
fill() {
  local free before
  memfuse /mnt/hand --size=4m --data="$1" || exit 1
  : >/mnt/hand/file
  before=$(usage_of /mnt/hand)
  free=$(df --block-size=4096 --output=avail /mnt/hand | tail -n 1)
  python3 - /mnt/hand/file "$free" <<'PYTHON' || fail "not exact"
import errno, os, sys
descriptor, free, pages = os.open(sys.argv[1], os.O_WRONLY), int(sys.argv[2]), 0
try:
    while os.write(descriptor, bytes([pages % 251]) * 4096) == 4096:
        pages += 1
except OSError as error:
    assert error.errno == errno.ENOSPC, error
# The page table of the file is charged to the same space.
assert free > 1000 and free - 64 <= pages <= free, (pages, free)
with open(sys.argv[1], "rb") as file:
    for page in range(pages):
        assert file.read(4096) == bytes([page % 251]) * 4096, page
PYTHON
  [[ $(df --block-size=1 --output=avail /mnt/hand | tail -n 1) -lt 4096 ]] || fail "there is space left"
  : >/mnt/hand/file
  wait_until 20 has_usage /mnt/hand "$before" ||
    fail "used before (KiB, inodes): $before, and at the end: $(usage_of /mnt/hand)"
  umount /mnt/hand
}

# conformance MODE DATA
conformance() {
  bash conformance/run_conformance.sh /usr/bin/memfuse bin/conformance_test "$1" 8 --data="$2" -- \
    --gtest_filter="$filter"
}

# program CASE MODE SECONDS
program() {
  bash mount/programs/run.sh "$1" /usr/bin/memfuse "$2" $(($3 * time_factor))
}

# differential DATA SEED: 100,000 operations.
differential() {
  bash stress/differential/run_differential.sh /usr/bin/memfuse bin/differential --jobs=2 \
    --seeds=25 --operations=2000 --first_seed="$2" --data="$1"
}

stress() {
  bash stress/run_stress.sh /usr/bin/memfuse bin/stress_tree --seconds=10 --data="$1"
}

if [[ ${1:-} == --run ]]; then
  shift
  "$@"
  exit
fi

echo "kernel $(uname -r) $(uname -v)"
stores=(daemon)
if kernel_has_passthrough; then stores+=(passthrough); fi
part install 60 install_package
part mounts 120 use_mounts
part user 60 use_as_user
for data in "${stores[@]}"; do
  part "space-$data" 60 fill "$data"
done
for data in "${stores[@]}"; do
  part "conformance-root-$data" 1000 conformance root "$data"
done
part conformance-user 1000 conformance user auto
for data in "${stores[@]}"; do
  part "differential-$data" 300 differential "$data" $((RANDOM * 1000))
  part "stress-$data" 120 stress "$data"
done
# Cases with real programs. Under emulation, those that take minutes run only by name (--parts).
programs=(lifecycle remount)
if [[ -n $parts || $time_factor -eq 1 ]]; then programs+=(git limits sqlite unpack); fi
# The rsync case compares with tmpfs, which has no user extended attributes before that version.
if kernel_is_at_least 6.6; then programs+=(rsync); fi
for mode in root user; do
  for case in "${programs[@]}"; do
    part "$case-$mode" 300 program "$case" "$mode" 240
  done
done
exit "$status"
