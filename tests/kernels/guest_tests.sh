#!/bin/bash
# What is run on every kernel, inside of the virtual machine. Prints a line for each part, and for each
# conformance case that fails; the whole text is in /tests/logs. The kernel's command line has parts=,
# filter= and accel= of run.sh.
# Parts are called by name.
# shellcheck disable=SC2317
set -u
cd /tests || exit 1

# option NAME
option() { grep -o "\b$1=[^ ]*" /proc/cmdline | cut -d = -f 2-; }

parts=$(option parts) filter=$(option filter)
readonly parts filter
# Emulation is slower by as much.
patience=1
[[ $(option accel) != tcg ]] || patience=6
readonly patience
export CONFORMANCE_SECONDS=$((900 * patience))
status=0

# part NAME SECONDS COMMAND...: runs the command, a function of this script or a program.
part() {
  local name=$1 seconds=$(($2 * patience)) begin=$SECONDS result=passed log=/tests/logs/$1
  shift 2
  [[ -z $parts || ,$parts, == *,$name,* ]] || return 0
  echo "begin $name"
  timeout -k 10 "$seconds" unshare --mount --propagation private "${BASH_SOURCE[0]}" --run "$@" \
    >"$log" 2>&1 || result=FAILED
  echo "part $name $result $((SECONDS - begin)) s"
  if [[ $result != passed ]]; then
    status=1
    if ! grep -aE '^\[  FAILED  \].*, where GetParam' "$log" | sort -u | grep .; then
      tail -n 5 "$log"
    fi
    clean_up
  fi
}

# After a failure; what hangs is ended from outside.
clean_up() {
  local connection
  for connection in /sys/fs/fuse/connections/*/abort; do
    [[ ! -e $connection ]] || echo 1 >"$connection"
  done
  killall -q -KILL memfuse
  umount -a -l -t fuse.memfuse
}

kernel_is_at_least() {
  local version
  version=$(uname -r)
  [[ $(printf '%s\n' "$1" "${version%%-*}" | sort -V | head -n 1) == "$1" ]]
}

install_package() {
  dpkg --install memfuse.deb && memfuse --version
}

fail() {
  echo "$*"
  exit 1
}

# check_use DIRECTORY COMMAND...: files can be written and read there, and the command unmounts it.
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

  # Where file data lies is the kernel's to decide.
  if kernel_is_at_least 6.9; then wanted=passthrough; fi
  memfuse /mnt/hand --foreground --size=64m 2>/run/log &
  for _ in {1..300}; do
    grep -q ' serving /mnt/hand: ' /run/log && break
    sleep 0.1
  done
  cat /run/log
  umount /mnt/hand
  wait $! || fail "the daemon failed"
  if [[ $wanted == passthrough ]]; then
    grep -q 'file data: .*by passthrough' /run/log || fail "no passthrough"
  else
    grep -q 'file data: .*by passthrough' /run/log && fail "passthrough on an old kernel"
    memfuse /mnt/hand --data=passthrough && fail "--data=passthrough is accepted"
  fi
  # There is no io_uring in either of them.
  if ! kernel_is_at_least 6.14; then
    memfuse /mnt/hand --transport=uring && fail "--transport=uring is accepted"
  fi
  return 0
}

# An ordinary user, through fusermount3.
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

# conformance MODE DATA
conformance() {
  bash conformance/run_conformance.sh /usr/bin/memfuse bin/conformance_test "$1" 8 --data="$2" -- \
    --gtest_brief=1 --gtest_filter="$filter"
}

# program CASE MODE SECONDS
program() {
  bash mount/programs/run.sh "$1" /usr/bin/memfuse "$2" $(($3 * patience))
}

# differential DATA SEED: 100,000 operations, or fewer where they are emulated.
differential() {
  bash stress/differential/run_differential.sh /usr/bin/memfuse bin/differential --jobs=2 \
    --seeds=$((25 / patience)) --operations=2000 --first_seed="$2" --data="$1"
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
part install 60 install_package
part mounts 120 use_mounts
part user 60 use_as_user
for mode in root user; do
  part "limits-$mode" 150 program limits "$mode" 120
done
stores=(daemon)
if kernel_is_at_least 6.9; then stores+=(passthrough); fi
for data in "${stores[@]}"; do
  part "conformance-root-$data" 1000 conformance root "$data"
done
part conformance-user 1000 conformance user auto
for data in "${stores[@]}"; do
  part "differential-$data" 300 differential "$data" $((RANDOM * 1000))
  part "stress-$data" 120 stress "$data"
done
for mode in root user; do
  for case in lifecycle rsync sqlite git remount unpack; do
    part "$case-$mode" 300 program "$case" "$mode" 240
  done
done
exit "$status"
