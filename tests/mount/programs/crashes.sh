#!/bin/bash
# A mount with --resilient whose servers crash and hang in chosen system calls. strace(1) injects the
# faults: it is attached to the keeper and the running server, and follows each successor from fork(2).
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need pgrep python3 strace

use_memfusectl
# inject SYSCALL FAULT: until stop_injecting, servers have the fault in their calls.
inject() {
  strace -qq -f --attach="$DAEMON" --attach="$(pgrep --parent "$DAEMON")" -o "$WORK/strace.log" \
    --trace="$1" --inject="$1:$2" &
  STRACE=$!
  wait_until 30 is_traced || fail "strace: $(cat "$WORK/strace.log")"
}
# shellcheck disable=SC2317 # wait_until calls it
is_traced() {
  local process
  for process in "$DAEMON" $(pgrep --parent "$DAEMON"); do
    grep -q "^TracerPid:[[:space:]]*$STRACE$" "/proc/$process/status" || return 1
  done
}
stop_injecting() {
  kill "$STRACE"
  wait "$STRACE" || true
}
expect_in_log() { wait_until 30 grep -q -- "$1" "$LOG" || fail "not in the log: $1: $(<"$LOG")"; }
# Copies a part of a file. Prints the name of the error.
copy_range() {
  python3 -c 'import errno, os, sys
with open(sys.argv[1], "r+b") as file:
    try:
        os.copy_file_range(file.fileno(), file.fileno(), 1000, 0, 50000)
        print("copied")
    except OSError as error:
        print(errno.errorcode[error.errno])' "$MOUNT/file"
}

# A request that crashes two servers fails, and nothing else does.
start_memfuse "$MOUNT" --resilient --hang_timeout=2 --data=passthrough
head -c 100000 /dev/zero >"$MOUNT/file"
inject copy_file_range signal=SIGSEGV
[[ $(copy_range) == EIO ]] || fail "a request that crashes servers: $(<"$LOG")"
expect_in_log 'COPY_FILE_RANGE.* of process .* is answered with EIO'
expect_in_log 'SIGSEGV .* stack trace'
expect_in_log 'MemFs::CopyFileRange'
touch "$MOUNT/other"
[[ $(grep -c 'was killed by signal 11' "$LOG") == 2 ]] || fail "$(<"$LOG")"
stop_injecting
[[ $(copy_range) == copied ]] || fail "the same request later"

# A request that hangs in two servers fails, too.
# The server repeats the call.
inject copy_file_range error=EINTR
[[ $(copy_range) == EIO ]] || fail "a request that hangs: $(<"$LOG")"
stop_injecting
[[ $(grep -c 'hangs: a request takes longer than' "$LOG") == 2 ]] || fail "$(<"$LOG")"
[[ $(copy_range) == copied ]] || fail "the same request after a hang"
kill -TERM "$DAEMON"
wait "$DAEMON" || fail "the end after crashes: $(<"$LOG")"

# Servers that crash before they are ready: the second listen(2) is that of the control socket, and a
# read-only server has no port for metrics.
start_memfuse "$MOUNT" --resilient --metrics_listen="127.0.0.1:$((20000 + $$ % 10000))"
echo kept >"$MOUNT/file"
mkdir "$MOUNT/directory"
inject listen signal=SIGSEGV:when=2+
pkill -KILL --parent "$DAEMON"
expect_in_log 'is read-only, because its servers have crashed'
[[ $(<"$MOUNT/file") == kept && -d $MOUNT/directory ]] || fail "a read-only server: $(<"$LOG")"
stop_injecting
[[ $("$control" status "$MOUNT" --json | member read_only) == True ]] || fail "read_only in status: $(<"$LOG")"
"$control" status "$MOUNT" | grep -q '^read-only, because' || fail "status"
if "$control" doctor "$MOUNT" >"$WORK/doctor" 2>&1; then fail "doctor finds no problem"; fi
grep -q 'only lets programs read' "$WORK/doctor" || fail "doctor: $(<"$WORK/doctor")"
if mkdir "$MOUNT/new" 2>"$WORK/error"; then fail "mkdir in a read-only file system"; fi
grep -q 'Read-only file system' "$WORK/error" || fail "mkdir: $(<"$WORK/error")"
if echo more 2>"$WORK/error" >>"$MOUNT/file"; then fail "a write to a read-only file system"; fi
if "$control" resize "$MOUNT" 64m 2>"$WORK/error"; then fail "resize of a read-only file system"; fi
grep -q 'read-only' "$WORK/error" || fail "resize: $(<"$WORK/error")"
cp -r "$MOUNT/." "$WORK/copy"
[[ $(<"$WORK/copy/file") == kept ]] || fail "the copy"
pkill -KILL --parent "$DAEMON"
if mkdir "$MOUNT/new" 2>/dev/null; then fail "the successor of a read-only server"; fi
kill -TERM "$DAEMON"
wait "$DAEMON" || fail "the end of a read-only server: $(<"$LOG")"
