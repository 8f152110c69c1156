#!/bin/bash
# run_stress.sh MEMFUSE STRESS_TREE [--seconds=N] [--seed=N] [--threads=N] [--data=KIND]
#               [--transport=KIND] [--sanitizer=LIST] [--tmpfs] [--kill_every=SECONDS]
#
# Runs stress_tree on a memfuse mount and checks that no inode, byte or memory is left. For a daemon
# with a sanitizer only inodes, bytes and the log are checked, because a sanitizer keeps freed
# memory on purpose. --tmpfs runs the same program on the kernel's tmpfs: every result that the
# program accepts must be possible there. --kill_every kills the server again and again; its
# successors go on.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/testing/mount.sh
source "$here/../testing/mount.sh"

(($# >= 2)) || fail "usage: run_stress.sh MEMFUSE STRESS_TREE [FLAG...]"
MEMFUSE=$1
stress_tree=$2
shift 2
seconds=15
seed=$((RANDOM * 32768 + RANDOM))
threads=8
data=auto
transport=auto
sanitizer=
tmpfs=false
kill_every=
for flag in "$@"; do
  case $flag in
    --seconds=*) seconds=${flag#*=} ;;
    --seed=*) seed=${flag#*=} ;;
    --threads=*) threads=${flag#*=} ;;
    --data=*) data=${flag#*=} ;;
    --transport=*) transport=${flag#*=} ;;
    --sanitizer=*) sanitizer=${flag#*=} ;;
    --tmpfs) tmpfs=true ;;
    --kill_every=*) kill_every=${flag#*=} ;;
    *) fail "unknown flag $flag" ;;
  esac
done

((EUID == 0)) || fail "has to be run by root"
[[ -c /dev/fuse ]] || fail "there is no /dev/fuse"
work=$(mktemp -d)
mount=$work/mount
LOG=$work/daemon.log
DAEMON=
mkdir "$mount"
: >"$LOG"
clean_up() {
  restore_ring
  force_clean_up "$work" ${KILLER:+"$KILLER"} ${DAEMON:+"$DAEMON"}
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
if [[ $transport == uring ]]; then enable_ring; fi
trap 'exit 1' INT TERM

options=halt_on_error=1:exitcode=66
export ASAN_OPTIONS=$options UBSAN_OPTIONS=$options:print_stacktrace=1
export TSAN_OPTIONS=$options:suppressions=$here/tsan.supp

# stress SECONDS [FLAG...]
stress() {
  local limit=$1 status=0
  shift
  timeout -k 10 $((limit + 120)) \
    "$stress_tree" --seed="$seed" --seconds="$limit" "$@" "$mount" || status=$?
  if ((status != 0)); then
    cat "$LOG" >&2
    fail "stress_tree --seed=$seed failed with status $status"
  fi
}

# The memory of the daemon: its resident set and the pages of its memory files, in KiB.
memory() {
  local total fd
  total=$(awk '/^VmRSS:/ { print $2 }' "/proc/$DAEMON/status")
  for fd in "/proc/$DAEMON/fd/"*; do
    if [[ $(readlink "$fd") == /memfd:* ]]; then
      total=$((total + $(stat -L -c %b "$fd") / 2))
    fi
  done
  echo "$total"
}

# The main thread of the daemon releases unused memory once a second, and sleeps in between.
sleeps() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$DAEMON/status"; }
has_slept() { (($(sleeps) >= $1)); }

# Waits until the main thread has released the memory that is unused now. It may have begun before,
# so the sleep after its second turn is awaited, and one more for a wait within a turn.
await_release() {
  wait_until 60 has_slept $(($(sleeps) + 3)) || fail "the daemon's main thread does not run"
}

# Sets `after` to the memory of the daemon.
holds_at_most() {
  after=$(memory)
  ((after <= $1))
}

# The kernel sends FORGET requests at any later time. The usage is back after the last one.
expect_empty() {
  wait_until 60 has_usage "$mount" "$1" ||
    fail "seed $seed: used before (KiB, inodes): $1, and when all is removed: $(usage_of "$mount")"
}

if $tmpfs; then
  mount -t tmpfs -o size=4g stress "$mount"
  stress "$seconds"
  exit 0
fi

start_memfuse "$mount" --threads="$threads" --data="$data" --transport="$transport" --size=4g \
  ${kill_every:+--resilient}
empty=$(usage_of "$mount")
[[ $(awk '{ print $2 }' <<<"$empty") == 1 ]] || fail "a new file system has more than its root"

if [[ -n $kill_every ]]; then
  echo "seed $seed"
  start_killer "$mount" "$kill_every"
  stress "$seconds"
  stop_killer
  expect_empty "$empty"
  stop_memfuse "$mount"
  echo "servers that were killed: $(grep -c 'was killed by signal 9' "$LOG")"
  exit 0
fi

echo "seed $seed; warming up"
stress 3 --notable
expect_empty "$empty"
await_release
before=$(memory)
stress "$seconds"
expect_empty "$empty"
if [[ -z $sanitizer ]]; then
  # 10 %, and at least the memory that the daemon's malloc does not trim.
  allowance=$((before / 10 > 4096 ? before / 10 : 4096))
  wait_until 60 holds_at_most $((before + allowance)) ||
    fail "the daemon holds $((after - before)) KiB more than before"
  echo "memory: $before KiB before, $after KiB after"
fi
stop_memfuse "$mount"
