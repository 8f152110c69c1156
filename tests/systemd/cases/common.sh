# Functions of the cases, and the name of the unit under test. To be sourced.
# shellcheck shell=bash

# Used by the cases.
# shellcheck disable=SC2034
unit=memfuse@mnt-scratch.service

fail() {
  echo "$*" >&2
  exit 1
}

# expect WHAT OUTPUT COMMAND...
expect() {
  local what=$1 wanted=$2 got
  shift 2
  got=$("$@" 2>&1) || true
  [[ $got == "$wanted" ]] || fail "$what: expected '$wanted', got '$got'"
}

# contains TEXT PART
contains() {
  [[ $1 == *"$2"* ]] || fail "there is no '$2' in: $1"
}

expect_failure() {
  if "$@" >/dev/null 2>&1; then fail "succeeded: $*"; fi
}

# wait_until SECONDS COMMAND...: repeats COMMAND, because bash has no event for what it tests.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || fail "in vain: $*"
    sleep 0.05
  done
}

# Whether memfuse is mounted at the directory.
is_memfuse() { findmnt --noheadings --output=FSTYPE "$1" | grep -qx 'fuse\(.memfuse\)\?'; }

# The size in KiB.
size_of() { timeout 60 df --output=size "$1" | tail -n 1 | tr -d ' '; }

# said UNIT TEXT [ARGUMENT...]: whether TEXT is in the unit's journal. It may arrive there late.
said() { journalctl -u "$1" -o cat "${@:3}" | grep -F -e "$2" >/dev/null; }

# While systemd re-executes itself, it answers no request.
reexecute() {
  systemctl daemon-reexec
  wait_until 60 systemctl is-active --quiet memfuse-test.target
}

main_pid() { systemctl show --value -p MainPID "$unit"; }
