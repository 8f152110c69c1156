#!/usr/bin/env bash
# run_differential.sh MEMFUSE DIFFERENTIAL [--threads=N] [--data=KIND] [--transport=KIND] [--jobs=N]
#                     [--kill_every=SECONDS] [FLAG of differential ...]
#
# Runs random sequences of system calls on a memfuse mount and on a kernel tmpfs, and compares every
# result. --seeds, --operations and --first_seed apply to each job; the jobs use consecutive seeds.
# A run of hours: --jobs=2 --seeds=1000 --operations=20000.
# --kill_every=SECONDS kills the server again and again; its successors go on.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/testing/mount.sh
source "$here/../../testing/mount.sh"

(($# >= 2)) || fail "usage: run_differential.sh MEMFUSE DIFFERENTIAL [FLAG...]"
MEMFUSE=$1
differential=$2
shift 2
threads=8 data=auto transport=auto jobs=1 seeds=20 first=1 kill_every=
flags=()
for flag in "$@"; do
  case $flag in
    --threads=*) threads=${flag#*=} ;;
    --data=*) data=${flag#*=} ;;
    --transport=*) transport=${flag#*=} ;;
    --jobs=*) jobs=${flag#*=} ;;
    --kill_every=*) kill_every=${flag#*=} ;;
    --seeds=*) seeds=${flag#*=} ;;
    --first_seed=*) first=${flag#*=} ;;
    *) flags+=("$flag") ;;
  esac
done

((EUID == 0)) || fail "has to be run by root"
work=$(mktemp -d)
LOG=$work/daemon.log
DAEMON=
: >"$LOG"
chmod 0755 "$work"
mkdir "$work/memfuse" "$work/tmpfs"
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
export TSAN_OPTIONS=$options:suppressions=$here/../tsan.supp

if [[ $data == daemon ]]; then flags+=(--noexact_holes); fi
mount -t tmpfs -o size=4g,mode=0777,noatime tmpfs "$work/tmpfs"
start_memfuse "$work/memfuse" --threads="$threads" --data="$data" --transport="$transport" --size=4g --mode=0777 -o noatime \
  ${kill_every:+--resilient}
empty=$(usage_of "$work/memfuse")

run_job() {
  local job=$1
  mkdir "$work/memfuse/$job" "$work/tmpfs/$job"
  "$differential" --left="$work/memfuse/$job" --right="$work/tmpfs/$job" --seeds="$seeds" \
    --first_seed=$((first + job * seeds)) "${flags[@]}"
  rmdir "$work/memfuse/$job" "$work/tmpfs/$job"
}

if [[ -n $kill_every ]]; then start_killer "$work/memfuse" "$kill_every"; fi
pids=()
for ((job = 0; job < jobs; ++job)); do
  run_job "$job" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  wait "$pid" || status=$?
done
((status == 0)) || fail "memfuse and tmpfs differ"
if [[ -n $kill_every ]]; then stop_killer; fi
wait_until 60 has_usage "$work/memfuse" "$empty" ||
  fail "used before (KiB, inodes): $empty, and when all is removed: $(usage_of "$work/memfuse")"
stop_memfuse "$work/memfuse"
