#!/bin/bash
# Quotas of users and groups on a real mount: eight writers of three users, whose limits hold to the
# page, with deletes, truncates, mappings, and changes of owner. Runs with each data store.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need fallocate python3 setpriv

cat >"$WORK/steps.py" <<'PYTHON'
import errno, os, subprocess, sys
top, store = sys.argv[1:]
PAGE = 4096
LIMIT = 8 << 20
USERS = (1001, 1002, 1003)

def as_user(uid, function):
    """The exit status of a child process in which the user calls the function."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgroups([])
            os.setresgid(2000, 2000, 2000)
            os.setresuid(uid, uid, uid)
            status = function() or 0
        except OSError as error:
            print(f"uid {uid}: {error}", file=sys.stderr)
            status = error.errno
        finally:
            os._exit(status)
    return child

def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def usage(uid):
    """Bytes of data of the user's files."""
    total = 0
    for entry in os.scandir(top):
        status = entry.stat(follow_symlinks=False)
        if status.st_uid == uid:
            total += 512 * status.st_blocks
    return total

def fill(path):
    """Writes until the quota is reached; returns the number of bytes."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    written = 0
    try:
        while True:
            count = os.write(file, b"q" * 100_000)
            written += count
    except OSError as error:
        if error.errno != errno.EDQUOT:
            raise
    finally:
        os.close(file)
    return written

# Eight writers of three users, in rounds of filling, truncating and deleting.
def writer(number):
    for _ in range(5):
        fill(f"{top}/{number}")
        os.truncate(f"{top}/{number}", 1 << 20 if number % 2 else 0)
    fill(f"{top}/{number}")
    os.unlink(f"{top}/{number}")
    fill(f"{top}/{number}.last")

# The inodes come first: a writer that starts late would find no space for its own.
def make(number):
    for name in (f"{number}", f"{number}.last"):
        os.close(os.open(f"{top}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

for function in (make, writer):
    children = [as_user(USERS[n % 3], lambda n=n: function(n)) for n in range(8)]
    for child in children:
        assert wait(child) == 0
for uid in USERS:
    # Inodes, names and page tables take a part of the limit.
    assert LIMIT - 16 * PAGE <= usage(uid) <= LIMIT, (uid, usage(uid))

# Others are not concerned, and what exists can be changed.
with open(f"{top}/roots", "wb") as file:
    file.write(b"r" * (2 * LIMIT))
def rewrite():
    file = os.open(f"{top}/0.last", os.O_WRONLY)
    assert os.pwrite(file, b"w" * PAGE, 0) == PAGE
assert wait(as_user(USERS[0], rewrite)) == 0

# A change of the owner moves the usage, or is refused as a whole.
try:
    os.chown(f"{top}/roots", USERS[0], -1)
    raise AssertionError("chown beyond the quota")
except OSError as error:
    assert error.errno == errno.EDQUOT, error
assert os.stat(f"{top}/roots").st_uid == 0
os.chown(f"{top}/0.last", 0, -1)
def again():
    assert fill(f"{top}/again") >= PAGE
assert wait(as_user(USERS[0], again)) == 0

# fallocate and copies are refused as well; reserved space can be written at the limit.
def reserve():
    for entry in os.scandir(top):
        if entry.stat().st_uid == os.getuid():
            os.unlink(entry.path)
    file = os.open(f"{top}/reserved", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, LIMIT + PAGE)
        return 1
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
    os.posix_fallocate(file, 0, LIMIT // 2)
    # What is left after fill() need not suffice for an inode.
    copy = os.open(f"{top}/copy", os.O_CREAT | os.O_WRONLY, 0o600)
    fill(f"{top}/rest")
    for offset in range(0, LIMIT // 2, 1 << 20):
        assert os.pwrite(file, b"d" * (1 << 20), offset) == 1 << 20
    try:
        if os.copy_file_range(file, copy, LIMIT // 2) > 16 * PAGE:
            return 2
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
assert wait(as_user(USERS[1], reserve)) == 0

# Space beyond the end of a file does not stand for pages before it, and a range that has space can be
# zeroed.
def special():
    for entry in os.scandir(top):
        if entry.stat().st_uid == os.getuid():
            os.unlink(entry.path)
    path = f"{top}/special"
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    subprocess.run(["fallocate", "--keep-size", "--offset=1t", "--length=1m", path], check=True)
    size = 0
    try:
        for size in range(1 << 20, 4 * LIMIT, 1 << 20):
            os.ftruncate(file, size)
            if os.pwrite(file, b"s" * (1 << 20), size - (1 << 20)) < 1 << 20:
                break
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
    if 512 * os.fstat(file).st_blocks > LIMIT:
        return 4
    # Truncating and extending allocates nothing.
    os.ftruncate(file, size + 5000)
    os.ftruncate(file, 5000)
    os.ftruncate(file, 0)
    os.pwrite(file, b"z" * (LIMIT * 6 // 10), 0)
    subprocess.run(["fallocate", "--zero-range", f"--length={LIMIT * 6 // 10}", path], check=True)
    os.unlink(path)
assert wait(as_user(USERS[1], special)) == 0

# Inodes of a group.
def inodes():
    made = 0
    try:
        for n in range(100):
            os.close(os.open(f"{top}/inode{n}", os.O_CREAT | os.O_EXCL))
            made += 1
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
    return 0 if made == 10 else 3
def in_group():
    os.setgroups([3000])
    os.setresgid(3000, 3000, 3000)
    os.setresuid(1005, 1005, 1005)
    return inodes()
child = os.fork()
if child == 0:
    os._exit(in_group())
assert wait(child) == 0
PYTHON

for store in daemon passthrough; do
  if [[ $store == passthrough ]] && ! kernel_has_passthrough; then continue; fi
  start_memfuse "$MOUNT" --size=128m --threads=4 --data=$store \
    --quota=uid:1001=8m,uid:1002=8m,uid:1003=8m --quota=gid:3000=/10
  chmod 0777 "$MOUNT"
  python3 "$WORK/steps.py" "$MOUNT" $store || fail "quotas with --data=$store"
  stop_memfuse "$MOUNT"
done

# The options of tmpfs.
start_memfuse "$MOUNT" --size=64m -o "usrquota,usrquota_block_hardlimit=1m"
chmod 0777 "$MOUNT"
if setpriv --reuid=1001 --clear-groups --regid=2000 \
  dd if=/dev/zero of="$MOUNT/file" bs=64k count=100 2>"$WORK/dd"; then
  fail "a write beyond usrquota_block_hardlimit"
fi
grep -q "Disk quota exceeded" "$WORK/dd" || fail "dd said: $(<"$WORK/dd")"
quota_is_logged() { grep -q "the quota of user 1001 has .* left" "$LOG"; }
wait_until 15 quota_is_logged || fail "the log does not name the quota: $(<"$LOG")"
dd if=/dev/zero of="$MOUNT/root" bs=64k count=100 status=none || fail "root has no default quota"
stop_memfuse "$MOUNT"
