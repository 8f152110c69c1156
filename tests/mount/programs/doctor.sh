#!/bin/bash
# memfusectl doctor on a healthy mount and machine, and on set-ups that are broken on purpose. The
# script of root breaks them for an unprivileged user as well, in its own mount namespace.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 prlimit setpriv unshare

use_memfusectl
chmod 0755 "$WORK" "$(dirname "$WORK")" "$(dirname "$MOUNT")"

# examine STATUS [COMMAND...]: expects this exit status of doctor, which the command runs with the
# arguments in `arguments`.
arguments=()
examine() {
  local expected=$1 status=0
  shift
  "$@" "$control" doctor "${arguments[@]}" >"$WORK/said" 2>"$WORK/errors" || status=$?
  ((status == expected)) || fail "status $status, not $expected: $(<"$WORK/said")$(<"$WORK/errors")"
}
# finds RESULT CHECK TEXT: expects such a finding with this text in its sentence or advice.
finds() {
  awk -v result="$1" -v check="$2" '
    /^[a-z]/ { inside = $1 == result && index($0, check) == 10 } inside' "$WORK/said" |
    grep -qF -- "$3" || fail "no $1 of $2 with '$3': $(<"$WORK/said")"
}

# The machine. What it lacks differs between machines, but is never more than a note.
arguments=(--size=16m --transport=dev)
examine 0
finds ok 'fuse device' '/dev/fuse can be opened.'
grep -q '^no problems, no warnings, ' "$WORK/said" || fail "$(<"$WORK/said")"
if grep -q $'\033' "$WORK/said"; then fail "colours in a file"; fi
arguments=("$MOUNT" --size=16m --transport=dev --json)
examine 0
python3 - "$WORK/said" "$MOUNT" <<'PYTHON'
import json, os, sys
with open(sys.argv[1]) as file:
    report = json.load(file)
assert report["uid"] == os.geteuid() and report["status"] == 0, report
assert report["mount_point"] == sys.argv[2], report
results = {finding["check"]: finding["result"] for finding in report["findings"]}
assert results["mount point"] == "ok" and results["stacking"] in ("ok", "note"), report
PYTHON

# Colours are for terminals.
in_terminal() { script -qec "$(printf '%q ' "$@")" /dev/null </dev/null; }
arguments=(--size=16m --transport=dev)
TERM=xterm examine 0 in_terminal
grep -q $'\033\[32mok' "$WORK/said" || fail "no colours on a terminal"
NO_COLOR=1 TERM=xterm examine 0 in_terminal
if grep -q $'\033\[32m' "$WORK/said"; then fail "colours with NO_COLOR"; fi

# Wrong calls.
for words in --sise=1 --size=lots --transport=x "a b" --by=uid; do
  # shellcheck disable=SC2206 # two words
  arguments=($words)
  examine 3
  [[ ! -s $WORK/said && $(wc -l <"$WORK/errors") == 1 ]] || fail "$words: $(<"$WORK/errors")"
done

# Mount points that do not suit.
mkdir "$WORK"/{full,empty}
touch "$WORK/file" "$WORK/full/file"
for row in "missing 2 problem|does not exist" "file 2 problem|is not a directory" \
  "full 1 warning|is not empty" "file/below 2 problem|is not in a directory" "empty 0 ok|is an empty"; do
  read -r name status found <<<"$row"
  arguments=("$WORK/$name" --transport=dev --size=16m)
  examine "$status"
  finds "${found%|*}" 'mount point' "${found#*|}"
done

# A healthy mount.
start_memfuse "$MOUNT" --size=16m --transport=dev
arguments=("$MOUNT")
examine 0
finds ok daemon "Process $DAEMON serves $MOUNT."
finds ok 'control socket' '.sock answers.'
finds ok requests 'through /dev/fuse, as asked for'
finds ok space 'of 16.0 MiB'
# Not what the caller of doctor asks for.
arguments=("$MOUNT" --transport=uring)
examine 1
finds warning requests 'Requests come through /dev/fuse'
# Limits of the daemon itself.
prlimit --pid="$DAEMON" --data=250000000
arguments=("$MOUNT")
examine 1
finds warning 'resource limits' 'The hard limit on data memory is 250000000 bytes'
# Nearly full.
head -c 16200000 /dev/zero >"$MOUNT/file"
examine 1
finds warning space 'The mount is nearly full'
# The socket is gone.
device=$(stat -c '%Hd:%Ld' "$MOUNT")
directory=$XDG_RUNTIME_DIR
if [[ $MODE == root ]]; then directory=/run; fi
socket=$directory/memfuse/$device.sock
mv "$socket" "$socket.moved"
examine 1
finds warning 'control socket' "Nothing answers at the control socket $socket"
finds ok daemon "A daemon serves $MOUNT."
mv "$socket.moved" "$socket"
# A daemon that does not answer.
kill -STOP "$DAEMON"
before=$SECONDS
examine 2
finds problem daemon 'does not answer within three seconds'
((SECONDS - before < 12)) || fail "doctor took $((SECONDS - before)) seconds"
kill -CONT "$DAEMON"
# A daemon that has died.
kill -KILL "$DAEMON"
wait "$DAEMON" || true
examine 2
finds problem daemon "has died ('Transport endpoint is not connected')"
finds problem daemon "'umount -l $MOUNT' as root"
if [[ $MODE == root ]]; then umount -l "$MOUNT"; else fusermount3 -uz "$MOUNT"; fi
rm "$socket"

# Without a control socket.
start_memfuse "$MOUNT" --size=16m --transport=dev --nocontrol
examine 0
finds note 'control socket' 'The daemon has no control socket'
stop_memfuse "$MOUNT"

# Resource limits of the shell.
arguments=(--size=16m --transport=dev)
examine 2 prlimit --nofile=10
finds problem 'resource limits' 'The hard limit on open files is 10, too few to mount'
if [[ $MODE == user ]]; then
  examine 1 prlimit --cpu=1000
  finds warning 'resource limits' 'The hard limit on CPU time is 1000 seconds'
  examine 1 prlimit --fsize=65536
  finds warning 'resource limits' 'The hard limit on the size of files is 65536 bytes'
  examine 2 setpriv --no-new-privs
  finds problem fusermount3 'no_new_privs'
  # The own mount without --allow_other.
  start_memfuse "$MOUNT" --size=16m --transport=dev
  mkdir "$MOUNT/inner"
  arguments=("$MOUNT/inner" --size=16m --transport=dev)
  examine 2
  finds problem stacking 'fusermount3 has no access'
  if "$MEMFUSE" "$MOUNT/inner" --size=16m 2>/dev/null; then fail "fusermount3 has access"; fi
  stop_memfuse "$MOUNT"
  exit
fi

# What an unprivileged user finds.
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chown 65534:65534 "$MOUNT"
# as_broken STATUS SCRIPT: breaks with SCRIPT what the user sees, and examines.
as_broken() {
  # shellcheck disable=SC2016 # the inner shell expands it
  examine "$1" unshare --mount --propagation private bash -ec "$2"'
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"' bash
}
# refused SCRIPT TEXT: a mount in such a set-up fails, and says so.
refused() {
  # shellcheck disable=SC2016 # the inner shell expands it
  if unshare --mount --propagation private bash -ec "$1"'
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"' bash \
    "$MEMFUSE" "$MOUNT" --size=16m "${@:3}" 2>"$WORK/said"; then
    fail "mounts in spite of: $1"
  fi
  grep -qF -- "$2" "$WORK/said" || fail "$1: $(<"$WORK/said")"
}
arguments=(--size=16m --transport=dev)
examine 0 "${user[@]}"

# /dev/fuse is closed, missing, another file.
node=$TMPFS/node
mknod "$node" c 10 229
chmod 0711 "$TMPFS"
chmod 0600 "$node"
as_broken 2 "mount --bind $node /dev/fuse"
finds problem 'fuse device' '/dev/fuse has mode 0600'
refused "mount --bind $node /dev/fuse" 'Permission denied'
as_broken 2 "mount --bind $WORK/file /dev/fuse"
finds problem 'fuse device' 'is not the device of FUSE'
no_device='mkdir -p '$TMPFS'/dev; mount -t tmpfs -o mode=0755 none '$TMPFS'/dev
mknod -m 666 '$TMPFS'/dev/null c 1 3; mount --move '$TMPFS'/dev /dev'
as_broken 2 "$no_device"
finds problem 'fuse device' '/dev/fuse is missing, although the kernel has FUSE.'
refused "$no_device" 'there is no /dev/fuse'

# fusermount3 is a copy without set-user-id, or missing.
cp /usr/bin/fusermount3 "$TMPFS/fusermount3"
chmod 0755 "$TMPFS/fusermount3"
as_broken 2 "mount --bind $TMPFS/fusermount3 /usr/bin/fusermount3"
finds problem fusermount3 'is not a set-user-id program of root'
refused "mount --bind $TMPFS/fusermount3 /usr/bin/fusermount3" 'not permitted'
chmod 4755 "$TMPFS/fusermount3"
as_broken 2 "mount --bind $TMPFS/fusermount3 /usr/bin/fusermount3
mount -o remount,bind,nosuid /usr/bin/fusermount3"
finds problem fusermount3 'is on a mount with nosuid'
chmod 0644 "$TMPFS/fusermount3"
as_broken 2 "mount --bind $TMPFS/fusermount3 /usr/bin/fusermount3"
finds problem fusermount3 'This user may not run /usr/bin/fusermount3'
mkdir "$TMPFS"/{upper,work,merged}
missing="mount -t overlay -o lowerdir=/usr/bin,upperdir=$TMPFS/upper,workdir=$TMPFS/work none /usr/bin
rm -f /usr/bin/fusermount3"
as_broken 2 "$missing"
finds problem fusermount3 'is not installed'
finds problem fusermount3 'Install the package fuse3.'

# /etc/fuse.conf.
: >"$TMPFS/fuse.conf"
chmod 0644 "$TMPFS/fuse.conf"
arguments=(--allow_other --size=16m --transport=dev)
as_broken 2 "mount --bind $TMPFS/fuse.conf /etc/fuse.conf"
finds problem allow_other "has no line 'user_allow_other'"
refused "mount --bind $TMPFS/fuse.conf /etc/fuse.conf" user_allow_other --allow_other
echo user_allow_other >"$TMPFS/fuse.conf"
as_broken 0 "mount --bind $TMPFS/fuse.conf /etc/fuse.conf"
finds ok allow_other 'permits --allow_other'

# Passthrough is for root.
arguments=(--size=16m --transport=dev --data=passthrough)
examine 2 "${user[@]}"
finds problem passthrough '--data=passthrough is refused'

# Directories of others.
arguments=("$WORK/empty" --size=16m --transport=dev)
examine 2 "${user[@]}"
finds problem 'mount point' 'This user may not write to'
chmod 1777 "$WORK/empty"
examine 2 "${user[@]}"
finds problem 'mount point' 'is a sticky directory of user 0'

# The mount point lies on an overlay.
rm -rf "$TMPFS"/{upper,work}
mkdir "$TMPFS"/{upper,work,lower}
overlay="mount -t overlay -o lowerdir=$TMPFS/lower,upperdir=$TMPFS/upper,workdir=$TMPFS/work none $WORK/empty
mkdir $WORK/empty/inner; chown 65534 $WORK/empty/inner"
arguments=("$WORK/empty/inner" --size=16m --transport=dev)
as_broken 0 "$overlay"
finds note stacking 'lies on an overlay'

# A profile of fusermount3, as root sees it.
if [[ -d /sys/kernel/security ]]; then
  arguments=(--size=16m --transport=dev)
  profile="mount -t tmpfs -o mode=0755 none /sys/kernel/security; mkdir /sys/kernel/security/apparmor
echo 'fusermount3 (enforce)' >/sys/kernel/security/apparmor/profiles"
  as_broken 0 "$profile"
  finds note apparmor 'An AppArmor profile restricts fusermount3'
fi

# io_uring that is asked for and switched off, as far as the kernel has the switch.
if [[ -e $RING_SWITCH ]]; then
  echo N >"$TMPFS/switch"
  arguments=(--size=16m --transport=uring)
  examine 2 unshare --mount --propagation private \
    bash -ec "mount --bind $TMPFS/switch $RING_SWITCH; exec \"\$@\"" bash
  finds problem io_uring 'switched off, so --transport=uring is refused'
  finds problem io_uring "echo Y > $RING_SWITCH"
fi

# The user looks at root's mount, which is for root alone.
start_memfuse "$MOUNT" --size=16m --transport=dev --noallow_other --nocontrol
arguments=("$MOUNT")
examine 2 "${user[@]}"
finds problem daemon 'This user may not look at the mount of user 0'
stop_memfuse "$MOUNT"

# A memory limit below --size.
if [[ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
  top=/sys/fs/cgroup/memory limit_file=memory.limit_in_bytes
else
  top=/sys/fs/cgroup limit_file=memory.max
  echo +memory >$top/cgroup.subtree_control
fi
group=$top/memfuse-doctor-$$
mkdir "$group"
trap 'rmdir "$group"' EXIT
echo 64m >"$group/$limit_file"
# shellcheck disable=SC2016 # the inner shell expands it
inside=(bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group")
arguments=(--size=1g --transport=dev)
examine 1 "${inside[@]}"
finds warning memory 'is more than the 56.0 MiB that the control group leaves'
finds warning memory 'Give --size=56m or less'
# The limit of the daemon counts, not that of the caller.
start_memfuse "$MOUNT" --size=1g --transport=dev
arguments=("$MOUNT")
examine 0 "${inside[@]}"
echo "$DAEMON" >"$group/cgroup.procs"
examine 1
finds warning memory 'that the control group leaves'
stop_memfuse "$MOUNT"
group_is_empty() { [[ -z $(<"$group/cgroup.procs") ]]; }
wait_until 10 group_is_empty || fail "left in the group: $(<"$group/cgroup.procs")"
