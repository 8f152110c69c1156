#!/bin/bash
# A mount with --resilient: what survives the death of the server, and how the mount ends.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need dd flock pgrep python3 sha256sum

use_memfusectl
server() { "$control" status "$MOUNT" --json | member server_pid; }
# Whether a server other than $1 answers.
# shellcheck disable=SC2317 # wait_until calls it
has_successor() { local now; now=$(server 2>/dev/null) && [[ $now != "$1" ]]; }
# kill_server SIGNAL: returns when the successor has its control socket.
kill_server() {
  local old
  old=$(server)
  kill "-$1" "$old"
  wait_until 30 has_successor "$old" || fail "no successor after $1: $(<"$LOG")"
}

start_memfuse "$MOUNT" --resilient --threads=3 --size=256m --nr_inodes=10000
empty=$(stored)
[[ $("$control" status "$MOUNT" --json | member keeper_pid) == "$DAEMON" ]] || fail "keeper_pid"
[[ $(server) == "$(pgrep --parent "$DAEMON")" ]] || fail "server_pid"
[[ $(<"/proc/$DAEMON/comm") == memfuse-keeper ]] || fail "the name of the keeper"

# Names, data, attributes, open files, removed files that are open, locks and mappings.
mkdir -p "$MOUNT/a/b"
dd if=/dev/urandom of="$MOUNT/a/large" bs=1M count=20 status=none
sum=$(sha256sum <"$MOUNT/a/large")
echo small >"$MOUNT/a/b/small"
ln "$MOUNT/a/b/small" "$MOUNT/link"
ln -s a/b/small "$MOUNT/symlink"
touch -d 2001-02-03T04:05:06.789 "$MOUNT/a/b"
chmod 0751 "$MOUNT/a"
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.name", b"value")' "$MOUNT/a/large"
exec 5<>"$MOUNT/removed"
echo first >&5
rm "$MOUNT/removed"
exec 6>"$MOUNT/locked"
flock 6
# A program that has a file open and stores through a mapping, before and after each death.
cat >"$WORK/mapper.py" <<'PYTHON'
import mmap, sys
file = open(sys.argv[1], "w+b")
file.truncate(1 << 20)
memory = mmap.mmap(file.fileno(), 1 << 20)
for line in sys.stdin:
    number = int(line)
    memory[number * 5000:number * 5000 + 6] = b"%06d" % number
    memory.flush()
    file.seek(0)
    data = file.read()
    for known in range(number + 1):
        assert data[known * 5000:known * 5000 + 6] == b"%06d" % known, (known, number)
    print("stored", flush=True)
PYTHON
coproc mapper { exec python3 "$WORK/mapper.py" "$MOUNT/mapped"; }
# shellcheck disable=SC2154 # coproc sets it
mapper_process=$mapper_PID
step() {
  local answer
  echo "$1" >&"${mapper[1]}"
  read -r -t 30 answer <&"${mapper[0]}" || fail "the program with the mapping failed"
  [[ $answer == stored ]]
}
expect_all() {
  [[ $(sha256sum <"$MOUNT/a/large") == "$sum" ]] || fail "$1: the data of a large file"
  [[ $(<"$MOUNT/link") == small && $(<"$MOUNT/symlink") == small ]] || fail "$1: names"
  [[ $(stat -c %h "$MOUNT/link") == 2 ]] || fail "$1: links"
  [[ $(stat -c %a "$MOUNT/a") == 751 ]] || fail "$1: mode"
  [[ $(stat -c %y "$MOUNT/a/b") == 2001-02-03\ 04:05:06.789* ]] || fail "$1: times"
  [[ $(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.name"))' \
    "$MOUNT/a/large") == "b'value'" ]] || fail "$1: attributes"
  [[ $(head -n 1 "/proc/$$/fd/5") == first ]] || fail "$1: a removed file that is open"
  if flock --nonblock "$MOUNT/locked" true; then fail "$1: the lock"; fi
}
number=0
for signal in KILL SEGV ABRT KILL; do
  [[ $("$control" status "$MOUNT" --json | member takeovers) == $((number / 2)) ]] || fail "takeovers"
  step "$((number++))"
  kill_server "$signal"
  step "$((number++))"
  expect_all "$signal"
  echo more >&5
done
[[ $(stat -f -c %c "$MOUNT") == 10000 ]] || fail "nr_inodes"
"$control" resize "$MOUNT" 128m >/dev/null
kill_server KILL
[[ $(stat -f -c %b "$MOUNT") == $(((128 << 20) / 4096)) ]] || fail "the size"

# A program that makes, renames and removes names while servers die. Each call happens once.
cat >"$WORK/names.py" <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    os.mkdir("d")
    os.close(os.open("d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.link("d/f", "d/g")
    os.rename("d/f", "d/h")
    os.setxattr("d/g", "user.count", b"%d" % i, os.XATTR_CREATE)
    with open("d/h", "ab") as file:
        file.write(b"%d" % i)
    assert open("d/g", "rb").read() == b"%d" % i
    os.unlink("d/g")
    os.unlink("d/h")
    os.rmdir("d")
PYTHON
start_killer "$MOUNT" 0.1
mkdir "$MOUNT/names"
timeout 100 python3 "$WORK/names.py" "$MOUNT/names" 5000 || fail "a call failed: $(<"$LOG")"
stop_killer
wait_until 30 server >/dev/null || fail "no server"
expect_all "many deaths"

# Nothing is left when everything is removed.
exec 5>&- 6>&-
eval "exec ${mapper[1]}>&-"
wait "$mapper_process" || fail "the program with the mapping"
rm -rf "${MOUNT:?}"/*
"$control" resize "$MOUNT" 256m >/dev/null
wait_until 30 has_stored "$empty" || fail "$(stored) is left, and not $empty"

# Without the keeper the server goes on, and ends as usual.
old=$(server)
touch "$MOUNT/file"
kill -KILL "$DAEMON"
wait "$DAEMON" || true
[[ -e $MOUNT/file ]] || fail "the server without its keeper"
mkdir "$MOUNT/directory"
unmount "$MOUNT"
wait_until 30 is_gone "$old" || fail "the server did not end"

# Signals go through the keeper.
start_memfuse "$MOUNT" --resilient
kill_server KILL
kill -TERM "$DAEMON"
expect_end 0
not_mounted "$MOUNT" || fail "still mounted"

# In the background, and with options that exclude it.
"$MEMFUSE" "$MOUNT" --resilient --size=64m
kill_server KILL
touch "$MOUNT/file"
unmount "$MOUNT"
for flag in --transport=uring --fuse_fd=0; do
  if "$MEMFUSE" "$MOUNT" --resilient "$flag" 2>"$WORK/error"; then fail "$flag"; fi
  grep -q -- '--resilient' "$WORK/error" || fail "$flag: $(<"$WORK/error")"
  (($(wc -l <"$WORK/error") == 1)) || fail "$flag: $(<"$WORK/error")"
done
