#!/bin/bash
# Daemon and programs in one control group with a memory limit, as in a container.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 awk

MIB=$((1 << 20))

# Prints the directory below which control groups with a memory limit can be made.
if [[ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
  top=/sys/fs/cgroup/memory limit_file=memory.limit_in_bytes kills_file=memory.oom_control
elif grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
  top=/sys/fs/cgroup limit_file=memory.max kills_file=memory.events
  echo +memory >$top/cgroup.subtree_control
else
  fail "there is no memory controller"
fi
group=$top/memfuse-test-$$

# Turns swap off. A kernel without swap accounting has no such files.
set_limit() {
  local both=$group/memory.memsw.limit_in_bytes
  if [[ -e $both ]]; then echo -1 >"$both"; fi
  echo "$1" >"$group/$limit_file"
  if [[ -e $both ]]; then echo "$1" >"$both"; fi
  if [[ -e $group/memory.swap.max ]]; then echo 0 >"$group/memory.swap.max"; fi
}
kills() { awk '$1 == "oom_kill" { print $2 }' "$group/$kills_file"; }
new_group() {
  mkdir "$group"
  set_limit "$1"
}
group_is_empty() { [[ -z $(<"$group/cgroup.procs") ]]; }
end_group() {
  wait_until 30 group_is_empty || fail "left in the group: $(<"$group/cgroup.procs")"
  rmdir "$group"
}
# Thaws the processes that hang in the group, so that they can be killed.
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  if [[ -d $group ]]; then
    set_limit $((1 << 40)) || true
    xargs -r kill -KILL <"$group/cgroup.procs" || true
    wait_until 60 group_is_empty && rmdir "$group"
  fi
}
trap clean_up EXIT

# inside COMMAND...: runs COMMAND in the group.
inside() {
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec "$@"
  )
}

# start_memfuse runs this.
program=$MEMFUSE
MEMFUSE=$WORK/memfuse_inside
printf '#!/bin/bash\necho $$ >"%s/cgroup.procs"\nexec "%s" "$@"\n' "$group" "$program" >"$MEMFUSE"
chmod +x "$MEMFUSE"

max_dirty() { cat "/sys/class/bdi/$(stat -c '%Hd:%Ld' "$MOUNT")/max_bytes"; }

# Writes more dirty data than the group may hold. Without a bound, the daemon waits in reclaim for
# pages that only the daemon itself could write back, and the kernel kills no program either.
new_group $((256 * MIB))
for how in write map; do
  flags=(--data=daemon --size=200m --threads=2)
  if [[ $how == write ]]; then flags+=(--writeback); fi
  start_memfuse "$MOUNT" "${flags[@]}"
  (($(max_dirty) <= 64 * MIB)) || fail "$how: $(max_dirty) bytes of unwritten data are allowed"
  status=0
  inside timeout -s KILL 60 python3 - "$how" "$MOUNT/file" <<'PYTHON' || status=$?
import errno, mmap, os, sys
how, path = sys.argv[1:]
size = 300 << 20
descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
try:
    if how == "write":
        for at in range(0, size, 1 << 20):
            os.pwrite(descriptor, b"x" * (1 << 20), at)
        os.fsync(descriptor)
    else:
        os.ftruncate(descriptor, size)
        region = mmap.mmap(descriptor, size)
        for at in range(0, size, 4096):
            region[at] = 120
        region.flush()
except OSError as error:
    os._exit(0 if error.errno == errno.ENOSPC else 1)
os._exit(2)
PYTHON
  ((status == 0)) || fail "$how: 300 MiB did not end with 'no space' but with status $status"
  [[ $(head -c 1 "$MOUNT/file") == x ]] || fail "$how: what was stored is lost"
  (($(kills) == 0)) || fail "$how: something was killed"
  rm "$MOUNT/file"
  stop_memfuse "$MOUNT"
done

# A limit that is set later applies, too.
set_limit $((1 << 40))
start_memfuse "$MOUNT" --data=daemon --size=64m
before=$(max_dirty)
set_limit $((128 * MIB))
is_bounded() { (($(max_dirty) <= 32 * MIB)); }
wait_until 60 is_bounded || fail "a limit that was set later: $before, then $(max_dirty) bytes"
stop_memfuse "$MOUNT"
end_group

# The OOM killer kills the program that needs too much memory, not the daemon.
new_group $((200 * MIB))
for data in daemon passthrough; do
  start_memfuse "$MOUNT" --data=$data --size=160m
  inside dd if=/dev/urandom of="$MOUNT/kept" bs=1M count=130 status=none
  sum=$(inside sha256sum <"$MOUNT/kept")
  resident=$(awk '/^RssShmem/ { print $2 }' "/proc/$DAEMON/status")
  ((resident < 32 * 1024)) || fail "$data: $resident KiB of files count as the daemon's own memory"
  kills_before=$(kills)
  status=0
  inside python3 -c 'b = bytearray()
for i in range(100): b += b"x" * (1 << 20)' || status=$?
  ((status == 137)) || fail "$data: the program ended with status $status"
  (($(kills) == kills_before + 1)) || fail "$data: more than the program was killed"
  [[ $(sha256sum <"$MOUNT/kept") == "$sum" ]] || fail "$data: the files are not what they were"
  rm "$MOUNT/kept"
  stop_memfuse "$MOUNT"
done
end_group

# --size together with the limit of the group.
new_group $((256 * MIB))
size_of() { df --block-size=1 --output=size "$MOUNT" | tail -n 1; }
room=$((256 * MIB - 256 * MIB / 8))
start_memfuse "$MOUNT" --size=50% --data=daemon
(($(size_of) == room / 2)) || fail "50% is $(size_of) bytes"
inside "$program" "$MOUNT" -o remount,size=224m 2>"$WORK/said" || fail "remount: $(<"$WORK/said")"
[[ ! -s $WORK/said ]] || fail "a size that fits: $(<"$WORK/said")"
inside "$program" "$MOUNT" -o remount,size=1g 2>"$WORK/said" || fail "remount: $(<"$WORK/said")"
grep -q 'warning: --size: .* more than the control group leaves' "$WORK/said" ||
  fail "a remount to more than the limit says: $(<"$WORK/said")"
wait_until 60 grep -q '^W.* more than the control group leaves' "$LOG" || fail "the log does not say so"
stop_memfuse "$MOUNT"

inside "$program" "$MOUNT" --size=1g 2>"$WORK/said" || fail "mount: $(<"$WORK/said")"
unmount "$MOUNT"
grep -q '^memfuse: warning: --size: .* more than the control group leaves' "$WORK/said" ||
  fail "a mount of more than the limit says: $(<"$WORK/said")"
[[ $(wc -l <"$WORK/said") == 1 ]] || fail "not one line: $(<"$WORK/said")"
wait_until 30 group_is_empty || fail "the daemon did not end"

# All memory that the group leaves can be filled.
start_memfuse "$MOUNT" --size=0 --data=daemon
(($(size_of) == room)) || fail "0 is $(size_of) bytes"
if inside dd if=/dev/zero of="$MOUNT/file" bs=1M 2>"$WORK/said"; then fail "it has no end"; fi
grep -q 'No space left' "$WORK/said" || fail "the end: $(<"$WORK/said")"
(($(kills) == 0)) || fail "something was killed"
is_gone "$DAEMON" && fail "the daemon is gone"
rm "$MOUNT/file"
stop_memfuse "$MOUNT"
end_group

# A size above what the group leaves. Files, names and extended attributes end with 'no space' before
# the kernel kills anything, also when another program of the group takes memory. Everything can be
# removed, and the space can be used again.
mkfifo "$WORK/hold"
for data in daemon passthrough; do
  if [[ $data == passthrough ]] && ! kernel_has_passthrough; then continue; fi
  new_group $((256 * MIB))
  start_memfuse "$MOUNT" --data=$data --size=1g --nr_inodes=0 --threads=2
  for kind in files names xattrs beside; do
    if [[ $kind == beside ]]; then
      # The memory of what was removed is free a moment later.
      is_little_used() {
        local used
        used=$(cat "$group"/memory.{usage_in_bytes,current} 2>/dev/null)
        ((used < 100 * MIB))
      }
      wait_until 30 is_little_used || fail "$data: the group still uses much memory"
      inside python3 -c 'import sys
held = bytearray()
for _ in range(80): held += b"x" * (1 << 20)
print("ready", flush=True)
sys.stdin.read()' <"$WORK/hold" >"$WORK/held" &
      exec 9>"$WORK/hold"
      wait_until 60 grep -q ready "$WORK/held" || fail "$data: the other program did not start"
    fi
    status=0
    inside timeout -s KILL 120 python3 - "$kind" "$MOUNT" <<'PYTHON' || status=$?
import errno, os, shutil, sys
kind, top = sys.argv[1:]
os.mkdir(top + "/d")
stored = 0
def files():
    global stored
    with open(top + "/d/file", "wb", buffering=0) as file:
        while True:
            stored += file.write(b"x" * (1 << 20))
def names():
    global stored
    for n in range(100_000_000):
        os.close(os.open(f"{top}/d/{n:0200d}", os.O_CREAT | os.O_EXCL))
        stored += 1
def xattrs():
    global stored
    for n in range(100_000_000):
        os.close(os.open(f"{top}/d/{n}", os.O_CREAT | os.O_EXCL))
        for k in range(4):
            os.setxattr(f"{top}/d/{n}", f"user.{k}", b"v" * 10_000)
            stored += 10_000
try:
    {"files": files, "beside": files, "names": names, "xattrs": xattrs}[kind]()
except OSError as error:
    assert error.errno == errno.ENOSPC, error
least = {"files": 150 << 20, "beside": 20 << 20, "names": 20_000, "xattrs": 50 << 20}[kind]
assert stored >= least, f"only {stored} of {least}"
shutil.rmtree(top + "/d")
PYTHON
    ((status == 0)) || fail "$data: $kind did not end with 'no space', but with status $status"
    (($(kills) == 0)) || fail "$data: $kind: something was killed"
    is_gone "$DAEMON" && fail "$data: $kind: the daemon is gone"
    if [[ $kind == beside ]]; then exec 9>&-; fi
  done
  memory_is_logged() { grep -q "the memory of the control group has .* left" "$LOG"; }
  if [[ $data == daemon ]]; then
    wait_until 15 memory_is_logged || fail "the log does not name the reason: $(<"$LOG")"
  fi
  stop_memfuse "$MOUNT"
  end_group
done
