#!/bin/bash
# A daemon is frozen together with the clients of its mount (cgroup freezer, as by docker pause or
# systemctl freeze). After the thaw all continue and nothing is lost. Two limitations need a change
# of the kernel: processes outside the group wait in the meantime, and a process that waits for the
# daemon does not freeze, so the group is not reported as frozen.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need mount mkdir stat

groups=$WORK/cgroup
job=$groups/memfuse-test.$$

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  local group
  for group in "$job"/*/ "$job"; do echo 0 >"$group/cgroup.freeze" || true; done
  for group in "$job"/*/ "$job"; do
    echo 1 >"$group/cgroup.kill" || true
    wait_until 10 rmdir "$group" || true
  done
  umount "$groups" || true
} 2>/dev/null
trap clean_up EXIT

mkdir "$groups"
mount -t cgroup2 none "$groups"
mkdir "$job" "$job/daemon" "$job/client"

# in_group GROUP COMMAND...: runs COMMAND in the group; for the background, with the process ID in
# $!.
in_group() {
  # shellcheck disable=SC2016 # the inner shell expands it
  exec bash -c 'echo "$$" >"$1/cgroup.procs" && exec "${@:2}"' bash "$@"
}
is_frozen() { grep -qx 'frozen 1' "$1/cgroup.events"; }
# waits_for_server PID: PID has sent a request and has no reply.
waits_for_server() { [[ $(<"/proc/$1/wchan") == request_wait_answer ]]; }
# waits_in_spite_of_signal PID: a signal or a freeze has reached PID, and PID still waits for the
# reply. The wait before it is interruptible, and has the state S.
waits_in_spite_of_signal() {
  waits_for_server "$1" && [[ $(awk '/^State:/ { print $2 }' "/proc/$1/status") == D ]]
}

serve() {
  start_memfuse "$MOUNT" --data="$1"
  echo "$DAEMON" >"$job/daemon/cgroup.procs"
  echo precious >"$MOUNT/file"
  mkdir "$MOUNT/sub"
}

# The client, which has no request in progress, counts the lines that it receives.
thaw_brings_all_back() {
  local client outside killed
  serve "$1"
  rm -f "$WORK/lines"
  mkfifo "$WORK/lines"
  # shellcheck disable=SC2016 # the inner shell expands it
  in_group "$job/client" bash -c 'while read -r line; do echo "$line" >>"$0/copy"; done' "$MOUNT" \
    <"$WORK/lines" &
  client=$!
  exec 8>"$WORK/lines"
  echo one >&8
  wait_until 20 grep -sqx one "$MOUNT/copy" || fail "the client does not write"
  echo 1 >"$job/cgroup.freeze"
  wait_until 20 is_frozen "$job" || fail "the job cannot be frozen"
  echo two >&8

  # A client that sends a request now waits. Over /dev/fuse, a request that the daemon has not read
  # can be withdrawn.
  stat "$MOUNT/first" >/dev/null 2>&1 &
  killed=$!
  wait_until 20 waits_for_server "$killed" || fail "a frozen daemon answers"
  kill -KILL "$killed"
  if tail -n 1 "$LOG" | grep -q 'requests: io_uring'; then
    wait_until 20 waits_in_spite_of_signal "$killed" ||
      fail "what waits for a queue of io_uring can be killed"
  else
    wait_until 20 is_gone "$killed" || fail "what waits for a frozen daemon cannot be killed"
  fi
  # Not in the root directory, because the kernel may hold its lock for the stat above.
  mkdir "$MOUNT/sub/made" &
  outside=$!
  wait_until 20 waits_for_server "$outside" || fail "a frozen daemon answers"

  echo 0 >"$job/cgroup.freeze"
  wait "$killed" || true
  wait "$outside" || fail "what was asked of a frozen daemon fails when it is thawed"
  wait_until 20 grep -sqx two "$MOUNT/copy" || fail "the client does not go on"
  exec 8>&-
  wait "$client"
  [[ $(<"$MOUNT/file") == precious && -d $MOUNT/sub/made ]] || fail "something is lost"
  stop_memfuse "$MOUNT"
}

# The test freezes the daemon first. A freeze of both at once may have either order.
one_that_waits_is_not_frozen() {
  local client
  serve "$1"
  echo 1 >"$job/daemon/cgroup.freeze"
  wait_until 20 is_frozen "$job/daemon" || fail "the daemon cannot be frozen"
  in_group "$job/client" mkdir "$MOUNT/made" &
  client=$!
  wait_until 20 waits_for_server "$client" || fail "a frozen daemon answers"
  echo 1 >"$job/cgroup.freeze"
  # From now on only a reply can end the wait.
  wait_until 20 waits_in_spite_of_signal "$client" || fail "the freeze does not reach the client"
  if is_frozen "$job/client"; then fail "a client that waits for a server can be frozen"; fi
  echo 0 >"$job/cgroup.freeze"
  echo 0 >"$job/daemon/cgroup.freeze"
  wait "$client" || fail "mkdir failed"
  [[ $(<"$MOUNT/file") == precious && -d $MOUNT/made ]] || fail "something is lost"
  stop_memfuse "$MOUNT"
}

# The reverse order: while the daemon runs, the requests of its clients complete, and the clients
# freeze.
all_freeze_if_clients_do_first() {
  local client
  serve "$1"
  # shellcheck disable=SC2016 # the inner shell expands it
  in_group "$job/client" bash -c 'while mkdir "$0/sub/x" && rmdir "$0/sub/x"; do :; done' "$MOUNT" &
  client=$!
  wait_until 20 grep -qx "$client" "$job/client/cgroup.procs" || fail "the client does not start"
  for _ in {1..10}; do
    echo 1 >"$job/client/cgroup.freeze"
    wait_until 20 is_frozen "$job/client" || fail "a client of a running daemon cannot be frozen"
    echo 1 >"$job/daemon/cgroup.freeze"
    wait_until 20 is_frozen "$job/daemon" || fail "the daemon cannot be frozen"
    is_frozen "$job/client" || fail "a client is not frozen any more"
    echo 0 >"$job/daemon/cgroup.freeze"
    echo 0 >"$job/client/cgroup.freeze"
  done
  if is_gone "$client"; then fail "the client failed"; fi
  kill -KILL "$client"
  # The processes of this case exit by themselves.
  wait_until 20 has_no_process "$job/client" || fail "a client hangs"
  wait "$client" || true
  stop_memfuse "$MOUNT"
}
has_no_process() { grep -qx 'populated 0' "$1/cgroup.events"; }

for data in passthrough daemon; do
  for scenario in thaw_brings_all_back one_that_waits_is_not_frozen \
    all_freeze_if_clients_do_first; do
    echo "$scenario, --data=$data"
    $scenario "$data"
  done
done
