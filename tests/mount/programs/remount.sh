#!/bin/bash
# Limits and flags of a running mount change as on a tmpfs: where root may mount one, the same steps
# run on a tmpfs. Also the callers that may remount, the directories that they may name, and the
# error texts.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 setpriv

cat >"$WORK/steps.py" <<'PYTHON'
import errno, os, subprocess, sys
top, may_set_flags, command = sys.argv[1], sys.argv[2] == "root", sys.argv[3:]
MIB = 1 << 20

def remount(options):
    words = [word.replace("OPTIONS", "remount," + options) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 or done.stderr.count("\n") >= 1, options
    return done.returncode == 0

def step(options, allowed):
    assert remount(options) == allowed, f"{options}: {'refused' if allowed else 'done'}"

def limits():
    s = os.statvfs(top)
    return s.f_blocks * s.f_frsize, s.f_files

def free():
    s = os.statvfs(top)
    return s.f_bavail * s.f_frsize, s.f_ffree

def fill(descriptor):
    """Pages that a descriptor takes until there is no space."""
    for pages in range(1 << 20):
        try:
            assert os.write(descriptor, b"x" * 4096) == 4096
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return pages

def make_files():
    """Empty files until there are no inodes."""
    for made in range(1 << 20):
        try:
            os.close(os.open(f"{top}/{limits()[1] - free()[1]}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return made

# Fills the mount and then enlarges it: a write to an open descriptor continues where it stopped.
# Names and tables take a few pages.
file = os.open(top + "/file", os.O_CREAT | os.O_WRONLY, 0o600)
assert 1024 - 24 <= fill(file) <= 1024
assert free()[0] == 0
step("size=8m", True)
assert limits()[0] == 8 * MIB and 4 * MIB <= free()[0] <= 4 * MIB + 4096, (limits(), free())
assert 1024 - 24 <= fill(file) <= 1024
assert fill(file) == 0
# A limit below the usage is refused as a whole, exact to the page.
used = 8 * MIB - free()[0]
step("size=6m", False)
step(f"size={used - 4096}", False)
step("size=6m,nr_inodes=50", False)
assert limits() == (8 * MIB, 100) and free()[0] == 0
step(f"size={used}", True)
os.ftruncate(file, 2 * MIB)
step("size=6m", True)
assert limits()[0] == 6 * MIB and 4 * MIB - 65536 <= free()[0] <= 4 * MIB
step(f"size={6 * MIB + 1}", True)
assert limits()[0] == 6 * MIB + 4096
# Inodes: the root and the file are two.
step("nr_inodes=10", True)
assert limits()[1] == 10 and make_files() == 8
step("nr_inodes=9", False)
step("nr_inodes=9,size=7m", False)
step("size=1m,nr_inodes=20", False)
assert limits() == (6 * MIB + 4096, 10)
step("nr_inodes=20,size=7m", True)
assert limits() == (7 * MIB, 20) and make_files() == 10
# Options for new mounts only.
before = os.stat(top)
step("mode=0700,uid=1,gid=2", True)
after = os.stat(top)
assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
# Invalid values.
for options in ("size=lots", "size", "nr_inodes=some", "nonsense=1", "mode=rwx"):
    step(options, False)
# The later option counts. A percentage is relative to the RAM.
step("size=5m,size=9m", True)
assert limits()[0] == 9 * MIB
step("size=10%", True)
assert limits()[0] > 9 * MIB
step("size=8m", True)

def flags():
    with open("/proc/mounts") as table:
        return {line.split()[1]: line.split()[3].split(",") for line in table}[top]

if may_set_flags:
    step("ro,size=16m", False)  # a file is open for writing
    assert limits()[0] == 8 * MIB and "rw" in flags()
    os.close(file)
    step("ro,size=16m", True)
    assert limits()[0] == 16 * MIB and "ro" in flags()
    try:
        os.open(top + "/file", os.O_WRONLY)
        assert False, "written to although it is mounted read-only"
    except OSError as error:
        assert error.errno == errno.EROFS
    step("ro,size=12m", True)
    step("rw,nosuid,nodev,noexec,size=1m", False)
    assert limits()[0] == 12 * MIB and "ro" in flags() and "noexec" not in flags()
    step("rw,nosuid,nodev,noexec", True)
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(flags())
    step("rw,suid,dev,exec,noatime", True)
    assert not {"ro", "nosuid", "nodev", "noexec"} & set(flags())
    assert "noatime" in flags()
    os.utime(top + "/file", (1000, 1000))
    open(top + "/file").read(1)
    assert os.stat(top + "/file").st_atime == 1000
    step("rw,relatime", True)
    assert "noatime" not in flags()
else:
    os.close(file)
PYTHON

if [[ $MODE == root ]]; then
  mkdir "$WORK/oracle"
  mount -t tmpfs -o size=4m,nr_inodes=100 memfuse-test "$WORK/oracle"
  # mount(8) with one name would add the options of /proc/mounts; with both names it does not.
  timeout 60 python3 "$WORK/steps.py" "$WORK/oracle" root \
    mount -t tmpfs -o OPTIONS memfuse-test "$WORK/oracle" || fail "tmpfs itself"
  umount "$WORK/oracle"
fi

stores=(auto)
if [[ $MODE == root ]] && kernel_has_passthrough; then stores=(passthrough daemon); fi
for data in "${stores[@]}"; do
  start_memfuse "$MOUNT" --size=4m --nr_inodes=100 --data="$data" --threads=3
  timeout 60 python3 "$WORK/steps.py" "$MOUNT" "$MODE" "$MEMFUSE" "$MOUNT" -o OPTIONS ||
    fail "--data=$data"
  size=$((8 << 20))
  [[ $MODE != root ]] || size=$((12 << 20))
  wait_until 60 grep -q "limits are now $size bytes, 20 inodes" "$LOG" || fail "not in the log: $size"
  : >"$LOG"
  stop_memfuse "$MOUNT"
done

start_memfuse "$MOUNT" --size=4m --threads=3 --mode=0755
# Options that mount(8) adds from /proc/mounts, or that the mount has already, are accepted.
shown=$(awk -v dir="$MOUNT" '$2 == dir { print $4 }' /proc/mounts)
timeout 20 "$MEMFUSE" "$MOUNT" -o "$shown,remount,size=5m,threads=3,huge=auto" || fail "as mount(8) says it"
[[ $(stat -f -c %b "$MOUNT") == 1280 ]] || fail "not 5 MiB: $(stat -f "$MOUNT")"

# refused SENTENCE COMMAND...: COMMAND prints one line with SENTENCE and exits with status 1.
refused() {
  local sentence=$1 status=0 said
  shift
  said=$(timeout 20 "$@" 2>&1) || status=$?
  [[ $status == 1 && $said == "memfuse: "*"$sentence"* && $(wc -l <<<"$said") == 1 ]] ||
    fail "$*: status $status, $said"
}
refused "--threads: a remount cannot change it to '4'; $MOUNT has '3'" \
  "$MEMFUSE" "$MOUNT" -o remount,threads=4,size=6m
head -c 64k /dev/zero >"$MOUNT/file"
refused "--size: '4k' is less than what is used" "$MEMFUSE" "$MOUNT" -o remount,size=4k,ro
mkdir "$MOUNT/below"
refused "no memfuse is mounted on $MOUNT/below" "$MEMFUSE" "$MOUNT/below" -o remount,size=6m
refused "no memfuse is mounted on $TMPFS" "$MEMFUSE" "$TMPFS" -o remount,size=6m
if [[ $MODE == root ]]; then
  stranger=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
  refused "changing the limits of $MOUNT takes CAP_SYS_ADMIN" "${stranger[@]}" "$MEMFUSE" "$MOUNT" -o remount,size=6m
  refused "only root may change ro" "${stranger[@]}" "$MEMFUSE" "$MOUNT" -o remount,noexec
  # The mount can be named by any directory at which it is visible, and by any directory inside.
  mkdir "$WORK/elsewhere"
  unshare --mount bash -c "mount --bind '$MOUNT/below' '$WORK/elsewhere' && umount -l '$MOUNT' &&
    timeout 20 '$MEMFUSE' '$WORK/elsewhere' -o remount,size=6m" || fail "in another mount namespace"
else
  refused "only root may change ro" "$MEMFUSE" "$MOUNT" -o remount,noexec
  timeout 20 "$MEMFUSE" "$MOUNT" -o remount,nosuid,nodev,size=6m || fail "flags that are there"
fi
[[ $(stat -f -c %b "$MOUNT") == 1536 ]] || fail "not 6 MiB: $(stat -f "$MOUNT")"
stop_memfuse "$MOUNT"
refused "no memfuse is mounted on $MOUNT" "$MEMFUSE" "$MOUNT" -o remount,size=6m
