# Functions for bash scripts that use memfuse on a real mount. To be sourced; the script sets
#   MEMFUSE  the program
#   LOG      a file for what the daemons say
#   WORK     a directory, if it calls use_memfusectl
# and calls force_clean_up in its EXIT trap.
# shellcheck shell=bash

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
  done
}

# Sets `control` to memfusectl, and lets the daemons of users make their sockets below $WORK.
use_memfusectl() {
  # The scripts that source this file use it.
  # shellcheck disable=SC2034
  control=$(dirname "$MEMFUSE")/memfusectl
  export XDG_RUNTIME_DIR=$WORK/run
  mkdir -p "$XDG_RUNTIME_DIR"
}

# member NAME...: a member of the JSON on standard input; a number is the index of an array.
member() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[int(name) if isinstance(value, list) else name]
print(value)' "$@"; }

# wait_until SECONDS COMMAND...: waits until the command succeeds; fails after SECONDS. The command is
# repeated, because bash can wait for the exit of a child or for input, but for no other event.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.02
  done
}

# The kernel's device number (of a FUSE mount: the connection) and mount point of every mount at or
# below DIRECTORY, the latest first.
mounts_below() {
  awk -v top="$1" '$5 == top || index($5, top "/") == 1 { print $3, $5 }' /proc/self/mountinfo | tac
}

is_mounted() {
  awk -v dir="$1" '$5 == dir { found = 1 } END { exit !found }' /proc/self/mountinfo
}

not_mounted() { ! is_mounted "$1"; }

# kernel_is_at_least VERSION
kernel_is_at_least() { printf '%s\n' "$1" "$(uname -r)" | sort --version-sort --check=quiet; }

# Whether the kernel supports passthrough for root's daemon.
kernel_has_passthrough() { kernel_is_at_least 6.9; }

# True if the process neither runs nor is a zombie. A zombie of this shell counts as gone, because
# `wait` reaps it.
is_gone() { [[ ! -e /proc/$1 || $(awk '/^State:/ { print $2 }' "/proc/$1/status") == Z ]] 2>/dev/null; }

# start_memfuse DIRECTORY [FLAG...]: mounts, and sets DAEMON to the process that serves the mount.
start_memfuse() {
  local directory=$1
  shift
  "$MEMFUSE" --foreground "$directory" "$@" 2>>"$LOG" &
  DAEMON=$!
  wait_until 30 mounted_or_gone "$directory" "$DAEMON"
  is_mounted "$directory" || fail "memfuse did not mount: $(<"$LOG")"
  # The daemon serves the mount a moment later. If the mount disappears before that, the daemon
  # reports an error.
  timeout 30 stat --file-system "$directory" >/dev/null || fail "no daemon answers: $(<"$LOG")"
}

mounted_or_gone() { is_mounted "$1" || is_gone "$2"; }

unmount() {
  if ((EUID == 0)); then
    timeout 20 umount "$1"
  else
    timeout 20 fusermount3 -u "$1"
  fi
}

# stop_memfuse DIRECTORY: unmounts, and expects the daemon to exit with status 0, in time and
# without errors.
stop_memfuse() {
  unmount "$1" || fail "cannot unmount $1"
  expect_end 0
}

# expect_end STATUS: expects the daemon to exit by itself with this status.
expect_end() {
  local status=0
  wait_until 30 is_gone "$DAEMON" || fail "the daemon $DAEMON did not end"
  wait "$DAEMON" || status=$?
  ((status == $1)) || fail "the daemon ended with status $status, not $1: $(tail -n 50 "$LOG")"
  check_log
}

# Reports of a sanitizer and error messages of the daemon (glog's E and F lines) are failures.
check_log() {
  if grep -qE 'Sanitizer|runtime error:|^[EF][0-9]{8} ' "$LOG"; then
    fail "the daemon reports errors: $(head -n 200 "$LOG")"
  fi
}

# FUSE over io_uring is off unless root enables it. enable_ring enables it; restore_ring, for the
# EXIT trap, restores the previous setting.
RING_SWITCH=/sys/module/fuse/parameters/enable_uring
RING_BEFORE=
enable_ring() {
  RING_BEFORE=$(<"$RING_SWITCH")
  echo Y >"$RING_SWITCH"
}
restore_ring() {
  if [[ -n $RING_BEFORE ]]; then echo "$RING_BEFORE" >"$RING_SWITCH"; fi
}

# force_clean_up DIRECTORY PID...: kills the processes and unmounts every mount at or below the
# directory, including mounts that hang.
force_clean_up() {
  local directory=$1 pid device mount_point
  shift
  for pid in "$@"; do
    kill -KILL "$pid" 2>/dev/null || true
  done
  while read -r device mount_point; do
    local control=/sys/fs/fuse/connections/${device#*:}/abort
    if [[ -w $control ]]; then echo 1 >"$control" || true; fi
    if ((EUID == 0)); then
      timeout 10 umount -l "$mount_point" || true
    else
      timeout 10 fusermount3 -uz "$mount_point" || true
    fi
  done < <(mounts_below "$directory")
}

# start_killer DIRECTORY SECONDS: from now on, one server of the keeper DAEMON after the other is
# killed, each SECONDS after it has begun to answer. Sets KILLER.
KILLER=
start_killer() {
  kill_servers "$DAEMON" "$@" &
  KILLER=$!
}
# shellcheck disable=SC2317 # start_killer calls it
kill_servers() {
  while sleep "$3"; do
    pkill -KILL --parent "$1" || true
    timeout 60 stat --file-system "$2" >/dev/null || true
  done
}
stop_killer() {
  kill "$KILLER"
  wait "$KILLER" || true
  KILLER=
}

# Used bytes (in KiB) and used inodes of the file system at DIRECTORY.
usage_of() { df --output=used,iused "$1" | tail -n 1; }
has_usage() { [[ $(usage_of "$1") == "$2" ]]; }

# What MOUNT stores, in bytes and inodes. df(1) does not show what is removed and not freed. Needs
# use_memfusectl.
stored() {
  "$control" status "$MOUNT" --json | python3 -c 'import json, sys
status = json.load(sys.stdin)
print(status["size"]["used"], status["inodes"]["used"])'
}
has_stored() { [[ $(stored) == "$1" ]]; }
