#!/bin/bash
# Behaviour at the limits: exact for space, unlimited for descriptors.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3

free_bytes() { df --block-size=1 --output=avail "$MOUNT" | tail -n 1; }

# A file system of 64 MiB accepts exactly the bytes that statfs reports as free, also after a
# delete.
start_memfuse "$MOUNT" --size=64m --threads=4
echo kept >"$MOUNT/before"
for round in 1 2 3; do
  : >"$MOUNT/filler"
  free=$(free_bytes)
  ((free > 63 << 20)) || fail "round $round: only $free bytes are free at the start"
  pages=$((free / 4096))
  # Page tables are charged to the same 64 MiB while the file grows. The metadata of the file that the
  # previous round removed may become free after the first ENOSPC. statfs then reports its space, and
  # a write must get it.
  written=$(python3 - "$MOUNT/filler" <<'PYTHON'
import errno, os, sys
descriptor = os.open(sys.argv[1], os.O_WRONLY)
pages = 0
for attempt in range(3):
    try:
        while os.pwrite(descriptor, bytes([pages % 251]) * 4096, pages * 4096) == 4096:
            pages += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    if os.statvfs(sys.argv[1]).f_bfree == 0:
        break
print(pages)
PYTHON
  )
  ((written <= pages && written >= pages - 64)) ||
    fail "round $round: $pages pages were free, and $written could be written"
  [[ $(free_bytes) -lt 4096 ]] || fail "round $round: full, but $(free_bytes) bytes are free"
  [[ $(<"$MOUNT/before") == kept ]] || fail "round $round: what was there before is lost"
  python3 - "$MOUNT/filler" "$written" <<'PYTHON' || fail "round $round: the content is wrong"
import sys
with open(sys.argv[1], "rb") as file:
    for page in range(int(sys.argv[2])):
        assert file.read(4096) == bytes([page % 251]) * 4096, page
PYTHON
  rm "$MOUNT/filler"
done

# A store through a mapping without space for its page: a SIGBUS if the kernel serves the data, an
# error of msync if the daemon does. Earlier data stays.
store=daemon
if [[ $MODE == root ]] && kernel_has_passthrough; then store=passthrough; fi
python3 - "$MOUNT" "$store" <<'PYTHON' || fail "stores through a mapping of a full file system"
import ctypes, errno, mmap, os, signal, sys
top, store = sys.argv[1:]
mapped = os.open(top + "/mapped", os.O_RDWR | os.O_CREAT)
os.write(mapped, b"m" * 4096)
os.ftruncate(mapped, 1 << 20)
filler = os.open(top + "/filler", os.O_WRONLY | os.O_CREAT)
try:
    while os.write(filler, b"f" * 4096) == 4096:
        pass
except OSError as error:
    assert error.errno == errno.ENOSPC
child = os.fork()
if child == 0:
    region = mmap.mmap(mapped, 1 << 20)
    for at in range(0, 1 << 20, 4096):
        region[at] = 120
    try:
        region.flush()
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)
status = os.waitpid(child, 0)[1]
if store == "passthrough":
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS, status
else:
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) in (errno.ENOSPC, errno.EIO), status
with open(top + "/filler", "rb") as file:
    assert set(file.read()) == {ord("f")}
assert os.pread(mapped, 4096, 0) == b"x" + b"m" * 4095
with open(top + "/before", "rb") as file:
    assert file.read() == b"kept\n"
PYTHON
rm "$MOUNT"/*
# Reads fill the page cache, which the kernel shrinks late.
all_is_free() { (($(free_bytes) >> 20 >= 63)); }
wait_until 60 all_is_free || fail "not all comes back: $(free_bytes)"
stop_memfuse "$MOUNT"

# Many files, few descriptors.
(
  ulimit -n 64
  start_memfuse "$MOUNT" --size=1g --threads=4
  python3 - "$MOUNT" <<'PYTHON' || fail "30,000 files with 64 descriptors"
import os, sys
top = sys.argv[1]
for i in range(30000):
    with open(f"{top}/{i}", "w") as file:
        file.write(str(i))
for i in range(0, 30000, 7):
    with open(f"{top}/{i}") as file:
        assert file.read() == str(i)
PYTHON
  (($(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l) < 50)) || fail "a descriptor per file"
  stop_memfuse "$MOUNT"
)
