#!/bin/bash
# Quotas of directory trees on a real mount: their limits hold to the page for concurrent writers,
# programs see a mount of its own, and memfusectl changes the quotas while a file is written. Runs
# with each data store.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3

use_memfusectl

cat >"$WORK/steps.py" <<'PYTHON'
import errno, json, os, shutil, subprocess, sys, threading
top, control, writer_uids = sys.argv[1], sys.argv[2], [int(uid) for uid in sys.argv[3:]]
PAGE, LIMIT = 4096, 8 << 20
tree = top + "/builds"

def bytes_of(path):
    answer = subprocess.run([control, "usage", top, "--json"], check=True, stdout=subprocess.PIPE)
    for owner in json.loads(answer.stdout)["owners"]:
        if owner.get("path") == path:
            return owner["bytes"]
    raise AssertionError(f"{path} is not listed")

def limit(rule):
    return subprocess.run([control, "limits", top, "--quota=" + rule], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)

def expect(error, function, *arguments):
    try:
        function(*arguments)
    except OSError as caught:
        assert caught.errno == error, caught
        return
    raise AssertionError(f"{function.__name__}{arguments} succeeded")

def fill(number, opened, go):
    """Writes, truncates and removes until the quota is reached; keeps what it has then."""
    path = f"{tree}/writer{number}/file"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    # All writers have their files before one of them fills the tree.
    os.write(opened, b"o")
    os.read(go, 1)
    try:
        for turn in range(3):
            os.ftruncate(file, 0)
            os.pwrite(file, b"t" * 200_000, 0)
        while True:
            os.write(file, b"q" * 10_000)
    except OSError as error:
        if error.errno != errno.EDQUOT:
            raise
    finally:
        os.close(file)

def write_page(path):
    with open(path, "wb", buffering=0) as file:
        file.write(b"p" * PAGE)

def run_writers():
    children = []
    opened, opened_end = os.pipe()
    go, go_end = os.pipe()
    for number, uid in enumerate(writer_uids):
        os.makedirs(f"{tree}/writer{number}", exist_ok=True)
        if uid != os.getuid():
            os.chown(f"{tree}/writer{number}", uid, uid)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if uid != os.getuid():
                    os.setgroups([])
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                os.close(go_end)
                fill(number, opened_end, go)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    os.close(opened_end)
    for child in children:
        os.read(opened, 1)
    os.close(go_end)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    os.close(opened)
    os.close(go)

space = os.statvfs(tree)
assert space.f_blocks * space.f_frsize == LIMIT, space
assert space.f_files == 40 and space.f_ffree == 39, space
assert os.statvfs(top).f_blocks * space.f_frsize == 64 << 20

for round in range(3):
    run_writers()
    used = bytes_of("/builds")
    assert LIMIT - PAGE < used <= LIMIT, f"{used} of {LIMIT} bytes"
    space = os.statvfs(tree)
    assert space.f_bavail == 0, space
    expect(errno.EDQUOT, write_page, f"{tree}/one more")
    for number in range(0, len(writer_uids), 2):
        os.unlink(f"{tree}/writer{number}/file")
    # There is space elsewhere, and again in the tree.
    with open(f"{top}/elsewhere", "wb") as file:
        file.write(b"e" * LIMIT)

# Names do not cross the boundary; mv copies.
for number in range(len(writer_uids)):
    shutil.rmtree(f"{tree}/writer{number}")
with open(f"{tree}/data", "wb") as file:
    file.write(b"d" * (1 << 20))
before = bytes_of("/builds")
expect(errno.EXDEV, os.rename, f"{tree}/data", f"{top}/data")
expect(errno.EXDEV, os.link, f"{tree}/data", f"{top}/data")
subprocess.run(["mv", f"{tree}/data", f"{top}/data"], check=True)
assert os.path.getsize(f"{top}/data") == 1 << 20
after = bytes_of("/builds")
assert after <= before - (1 << 20), (before, after)
subprocess.run(["mv", f"{top}/data", f"{tree}/data"], check=True)
assert bytes_of("/builds") == before
expect(errno.EBUSY, os.rename, tree, f"{top}/new")
os.unlink(f"{tree}/data")
if os.path.exists(f"{tree}/one more"):
    os.unlink(f"{tree}/one more")
expect(errno.EBUSY, os.rmdir, tree)

# A directory gets a quota; only an empty one does.
os.mkdir(f"{top}/late")
os.mkdir(f"{top}/late/inner")
assert "is not empty" in limit("path:/late=1m").stderr
assert "No such file" in limit("path:/absent=1m").stderr
assert limit("path:/late/inner=1m").returncode == 0
assert os.statvfs(f"{top}/late/inner").f_blocks * PAGE == 1 << 20
os.rename(f"{top}/late", f"{top}/moved")
assert bytes_of("/moved/inner") < PAGE

# The limit rises while a writer waits at it.
def write_all(written):
    with open(f"{tree}/growing", "wb", buffering=0) as file:
        while file.tell() < 2 * LIMIT:
            try:
                file.write(b"g" * 65536)
            except OSError as error:
                assert error.errno == errno.EDQUOT, error
                reached.set()
                raised.wait(60)
reached, raised = threading.Event(), threading.Event()
writer = threading.Thread(target=write_all, args=(None,))
writer.start()
assert reached.wait(60)
assert limit("path:/builds=24m").returncode == 0
raised.set()
writer.join(60)
assert os.path.getsize(f"{tree}/growing") >= 2 * LIMIT
assert limit("path:/builds=1m").returncode == 0
expect(errno.EDQUOT, os.mkdir, f"{tree}/no")
os.unlink(f"{tree}/growing")
os.mkdir(f"{tree}/yes")
os.rmdir(f"{tree}/yes")
assert limit("path:/builds=0/0").returncode == 0
os.rmdir(tree)

# The log names this directory, which stays.
with open(f"{top}/moved/inner/file", "wb", buffering=0) as file:
    file.write(b"i" * (1 << 19))
    expect(errno.EDQUOT, os.posix_fallocate, file.fileno(), 0, 2 << 20)
PYTHON

if [[ $MODE == root ]]; then
  writers=(1001 1001 1001 1002 1002 1002 1003 1003)
else
  writers=("$EUID" "$EUID" "$EUID" "$EUID")
fi
for store in daemon passthrough; do
  if [[ $store == passthrough ]] && { [[ $MODE == user ]] || ! kernel_has_passthrough; }; then
    continue
  fi
  start_memfuse "$MOUNT" --size=64m --threads=4 --data=$store --quota=path:/builds=8m/40
  timeout 60 python3 "$WORK/steps.py" "$MOUNT" "$control" "${writers[@]}" ||
    fail "quotas of directories with --data=$store"
  is_logged() { grep -q "the quota of the directory /moved/inner has .* left" "$LOG"; }
  wait_until 15 is_logged || fail "the log does not name the directory: $(<"$LOG")"
  stop_memfuse "$MOUNT"
done
