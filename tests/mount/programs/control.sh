#!/bin/bash
# memfusectl and curl on the control socket of a real mount: what the mounting user, root and another
# user see and may change.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need curl python3 setpriv

use_memfusectl

start_memfuse "$MOUNT" --size=64m --nr_inodes=1000 --threads=3 --quota=uid:1001=8m
chmod 0777 "$MOUNT"
dd if=/dev/zero of="$MOUNT/file" bs=1M count=5 status=none

# The socket, by memfusectl and by another client.
"$control" status "$MOUNT" >"$WORK/status"
grep -q "^$MOUNT: memfuse .*, process $DAEMON, up " "$WORK/status" || fail "$(<"$WORK/status")"
grep -qE '^size +5\.[0-9] MiB of 64\.0 MiB \(7%\): data 5\.0 MiB, metadata' "$WORK/status" ||
  fail "$(<"$WORK/status")"
grep -qE '^inodes +2 of 1,000' "$WORK/status" || fail "$(<"$WORK/status")"
(($(awk '{ if (length > widest) widest = length } END { print widest }' "$WORK/status") <= 120)) ||
  fail "long lines: $(<"$WORK/status")"
[[ $("$control" status "$MOUNT" --json | member server_pid) == "$DAEMON" ]] || fail "the pid"
(cd "$MOUNT" && "$control" status >/dev/null) || fail "without a directory"
device=$(stat -c '%Hd:%Ld' "$MOUNT")
directory=$XDG_RUNTIME_DIR
if [[ $MODE == root ]]; then directory=/run; fi
socket=$directory/memfuse/$device.sock
[[ -S $socket ]] || fail "there is no $socket"
[[ $(curl --silent --unix-socket "$socket" http://memfuse/v1/status | member threads) == 3 ]] ||
  fail "curl"

# Live changes.
"$control" resize "$MOUNT" 128m >/dev/null
[[ $(df --block-size=1 --output=size "$MOUNT" | tail -n 1) == $((128 << 20)) ]] || fail "resize"
"$control" limits "$MOUNT" --nr_inodes=50 "--quota=uid:*=1m/10,uid:1001=2m" >"$WORK/limits"
grep -qE '^quota +uid:\*  bytes 1.0 MiB  inodes 10$' "$WORK/limits" || fail "$(<"$WORK/limits")"
[[ $("$control" limits "$MOUNT" --json | member nr_inodes) == 50 ]] || fail "nr_inodes"
"$control" usage "$MOUNT" >"$WORK/usage"
grep -qE "^uid:$(id -u) +5\.[0-9] MiB +" "$WORK/usage" || fail "$(<"$WORK/usage")"
if "$control" resize "$MOUNT" 1m 2>"$WORK/said"; then fail "a size below the use"; fi
[[ $(<"$WORK/said") == "memfusectl: more is in use than the new limits allow" ]] ||
  fail "$(<"$WORK/said")"
for words in "status /proc" "frob $MOUNT" "status $MOUNT --verbose" "usage $MOUNT --by=x" \
  "limits $MOUNT --quota=x" "resize $MOUNT" "status $MOUNT $MOUNT" ""; do
  # shellcheck disable=SC2086 # several words
  if "$control" $words >"$WORK/out" 2>"$WORK/said"; then fail "accepted: $words"; fi
  [[ $(wc -l <"$WORK/said") == 1 && ! -s $WORK/out ]] || fail "$words: $(<"$WORK/said")"
done

# Another user sees the totals and nothing of others, and changes nothing.
if [[ $MODE == root ]]; then
  other=(setpriv --reuid=1001 --regid=2001 --clear-groups)
  chmod 0755 "$WORK" "$(dirname "$WORK")"
  [[ $("${other[@]}" "$control" status "$MOUNT" --json | member size limit) == $((128 << 20)) ]] ||
    fail "another user's status"
  "${other[@]}" sh -c "head -c 100000 /dev/zero >$MOUNT/other"
  "${other[@]}" "$control" usage "$MOUNT" --json >"$WORK/usage"
  [[ $(member owners 0 id <"$WORK/usage") == 1001 ]] || fail "own usage: $(<"$WORK/usage")"
  if grep -q '"id": 0' "$WORK/usage"; then fail "usage of others: $(<"$WORK/usage")"; fi
  if "${other[@]}" "$control" resize "$MOUNT" 64m 2>"$WORK/said"; then fail "another user resizes"; fi
  grep -q '^memfusectl: only root and the user' "$WORK/said" || fail "$(<"$WORK/said")"
  # A refusal has a reason.
  if "${other[@]}" sh -c "head -c 3000000 /dev/zero >$MOUNT/other" 2>/dev/null; then
    fail "beyond the quota"
  fi
  "$control" limits "$MOUNT" --quota=uid:1001=0 >/dev/null
  "${other[@]}" sh -c "head -c 3000000 /dev/zero >$MOUNT/other" || fail "exempt from the default"
  "$control" status "$MOUNT" | grep -q 'user 1001 had .* left' ||
    fail "no reason: $("$control" status "$MOUNT")"
fi

# Slow and silent clients change nothing for others.
python3 - "$socket" "$MOUNT" <<'PYTHON'
import os, socket, sys, time
path, top = sys.argv[1:]
clients = []
for _ in range(1000):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    try:
        client.connect(path)
        client.send(b"GET /v1/sta")
        clients.append(client)
    except OSError:
        pass
before = time.monotonic()
for n in range(2000):
    os.access(f"{top}/none{n}", os.F_OK)
assert time.monotonic() - before < 30
PYTHON

"$control" unmount "$MOUNT" || fail "unmount"
expect_end 0
[[ ! -e $socket ]] || fail "$socket stays"

# Without a socket.
start_memfuse "$MOUNT" --size=64m --nocontrol
if "$control" status "$MOUNT" 2>"$WORK/said"; then fail "a status without a socket"; fi
[[ $(<"$WORK/said") == "memfusectl: the memfuse on $MOUNT has no control socket" ]] ||
  fail "$(<"$WORK/said")"
stop_memfuse "$MOUNT"
