#!/bin/bash
# Permission for changes where the user ID alone does not decide: root without capabilities, root of
# another user namespace, and callers outside the PID namespace of the daemon.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 setpriv unshare nsenter

has_blocks() { [[ $(stat -f -c %b "$MOUNT") == "$1" ]] || fail "$(stat -f -c %b "$MOUNT") blocks, not $1"; }

# refused COMMAND...: COMMAND prints one line, exits with status 1, and has no effect.
refused() {
  local status=0 said before
  before=$(stat -f -c %b "$MOUNT")
  said=$(timeout 20 "$@" 2>&1) || status=$?
  [[ $status == 1 && $said == "memfuse: changing the limits of $MOUNT takes CAP_SYS_ADMIN"* ]] ||
    fail "$*: status $status, $said"
  has_blocks "$before"
}

no_capability=(setpriv --bounding-set=-all --inh-caps=-all)
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

# The owner of a tmpfs remounts it with CAP_SYS_ADMIN alone.
mkdir "$WORK/oracle"
mount -t tmpfs -o size=4m memfuse-test "$WORK/oracle"
! "${no_capability[@]}" mount -t tmpfs -o remount,size=6m memfuse-test "$WORK/oracle" 2>/dev/null ||
  fail "tmpfs itself"
umount "$WORK/oracle"

for flags in "" --noallow_other; do
  start_memfuse "$MOUNT" --size=4m --threads=2 ${flags:+"$flags"}
  remount=("$MEMFUSE" "$MOUNT" -o)
  refused "${no_capability[@]}" "${remount[@]}" remount,size=8m
  refused "${no_capability[@]}" "${remount[@]}" remount,nr_inodes=1k
  refused setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "${remount[@]}" remount,size=8m
  refused unshare --user --map-root-user "${remount[@]}" remount,size=8m
  has_blocks 1024
  timeout 20 "${remount[@]}" remount,size=8m || fail "root"
  has_blocks 2048
  if [[ -z $flags ]]; then
    refused "${nobody[@]}" "${remount[@]}" remount,size=9m
    timeout 20 "${nobody[@]}" --inh-caps=+sys_admin --ambient-caps=+sys_admin \
      "${remount[@]}" remount,size=9m || fail "a user with CAP_SYS_ADMIN"
    has_blocks 2304
  fi
  stop_memfuse "$MOUNT"
done

# A daemon in its own PID namespace, as in a container that exports the mount to the host. For a
# caller outside, the kernel sends no PID. Without its own /proc, the daemon cannot find a thread
# inside either.
printf '#!/bin/bash\nexec unshare --pid --fork "%s" "$@"\n' "$MEMFUSE" >"$WORK/contained"
chmod 0755 "$WORK/contained"
program=$MEMFUSE
for data in passthrough daemon; do
  MEMFUSE=$WORK/contained start_memfuse "$MOUNT" --size=4m --threads=2 --data="$data"
  timeout 30 python3 - "$MOUNT" <<'PYTHON' || fail "set-group-ID seen from outside, --data=$data"
import os, stat, sys
os.chdir(sys.argv[1])
def made(mode, directory=False):
    if directory:
        os.mkdir("f")
    else:
        os.close(os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.chown("f", 1001, 2000)
    os.chmod("f", mode)
def expect(mode):
    seen = stat.S_IMODE(os.stat("f").st_mode)
    assert seen == mode, f"{seen:o}, not {mode:o}"
    (os.rmdir if os.path.isdir("f") else os.unlink)("f")
# A chown by root keeps the bits that give no privileges, and clears the others.
for owner in ((1002, 1002), (1001, 2000), (-1, 2001), (1002, -1)):
    made(0o2764); os.chown("f", *owner); expect(0o2764)
    made(0o6764); os.chown("f", *owner); expect(0o2764)
    made(0o6775); os.chown("f", *owner); expect(0o775)
# setfacl -b keeps the bit, in particular on directories.
made(0o2775, directory=True); os.removexattr("f", "system.posix_acl_access"); expect(0o2775)
# A write by another user clears it.
def write():
    with open("f", "w") as file:
        file.write("x")
made(0o2766)
child = os.fork()
if child == 0:
    os.setgroups([]); os.setresgid(1003, 1003, 1003); os.setresuid(1003, 1003, 1003)
    write()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
expect(0o766)
made(0o6777); write(); expect(0o6777)
PYTHON
  refused "$program" "$MOUNT" -o remount,size=8m
  refused nsenter --target "$(pgrep --parent "$DAEMON")" --pid "$program" "$MOUNT" -o remount,size=8m
  stop_memfuse "$MOUNT"
done
