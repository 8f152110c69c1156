#!/bin/bash
# A write(2) whose data is on another FUSE file system that does not answer. The kernel keeps the
# written file locked until the data arrives. The daemon must answer requests for other files in the
# meantime, regardless of how many programs open the written file for reading or truncation.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 truncate

source_mount=$MOUNT/source
target_mount=$MOUNT/target

# write_from_mapping FILE SOURCE PID: stops PID, which serves SOURCE, and writes SOURCE to FILE.
write_from_mapping() {
  exec python3 -c '
import glob, mmap, os, signal, sys, time
# Only the parent of a process has an event for its stop.
def stopped(thread):
    with open(thread + "/status") as status:
        return "State:\tT" in status.read()
target = os.open(sys.argv[1], os.O_RDWR)
with open(sys.argv[2], "rb") as source:
    mapping = mmap.mmap(source.fileno(), 0, prot=mmap.PROT_READ)
os.kill(int(sys.argv[3]), signal.SIGSTOP)
deadline = time.monotonic() + 20
while not all(map(stopped, glob.glob("/proc/%s/task/*" % sys.argv[3]))):
    if time.monotonic() > deadline:
        sys.exit("the daemon does not stop")
    time.sleep(0.01)
os.write(target, memoryview(mapping))
' "$@"
}

# is_blocked PID DAEMON: PID is in an uninterruptible wait, and DAEMON, which serves the source, is
# stopped.
is_blocked() {
  [[ $(awk '/^State:/ { print $2 }' "/proc/$1/status") == D ]] &&
    [[ $(awk '/^State:/ { print $2 }' "/proc/$2/status") == T ]]
}

others_are_served() {
  local source_daemon writer openers=()
  mkdir -p "$source_mount" "$target_mount"
  start_memfuse "$source_mount" --data=daemon --threads=1
  source_daemon=$DAEMON
  start_memfuse "$target_mount" --data="$1" --threads=2
  truncate --size=64K "$source_mount/hole"
  echo content >"$target_mount/file"
  # A read moves atime again after the change of ctime. The backing file must have the new times.
  cat "$target_mount/file" >/dev/null
  chmod 0600 "$target_mount/file"

  write_from_mapping "$target_mount/file" "$source_mount/hole" "$source_daemon" &
  writer=$!
  wait_until 20 is_blocked "$writer" "$source_daemon" || fail "write(2) does not wait for its data"

  for _ in {1..30}; do
    cat "$target_mount/file" >/dev/null &
    openers+=("$!")
    truncate --no-create --size=0 "$target_mount/file" &
    openers+=("$!")
    : 2>/dev/null >"$target_mount/file" &
    openers+=("$!")
  done
  for n in {1..20}; do
    timeout 20 mkdir "$target_mount/$n" || fail "mkdir waits for the write(2) of another program"
    timeout 20 stat "$target_mount/file" >/dev/null || fail "stat(2) waits for the write(2)"
    timeout 20 sh -c ": >'$target_mount/$n/file'" || fail "open(2) waits for the write(2)"
  done

  kill -CONT "$source_daemon"
  wait "${openers[@]}" || fail "a program that waited for the file failed"
  wait "$writer" || fail "write(2) failed"
  stop_memfuse "$target_mount"
  DAEMON=$source_daemon
  stop_memfuse "$source_mount"
}

for data in passthrough daemon; do
  if [[ $MODE == user && $data == passthrough ]]; then continue; fi
  echo "--data=$data"
  others_are_served "$data"
done
