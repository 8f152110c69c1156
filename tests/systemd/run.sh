#!/usr/bin/env bash
# run.sh CASE MEMFUSE UNITS: boots a separate systemd with only the units and their dependencies,
# and runs cases/CASE.sh inside. That systemd sees this machine's files through an overlay, and has
# its own namespaces and control group. Needs root.
set -euo pipefail
readonly case=$1 memfuse=$2 units=$3
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

# First call: enters a mount namespace. All mounts inside end with it.
if [[ -z ${MEMFUSE_TEST_NAMESPACE:-} ]]; then
  export MEMFUSE_TEST_NAMESPACE=1
  exec unshare --mount --propagation private bash "$here/run.sh" "$@"
fi

work=$(mktemp -d /tmp/systemd-test-XXXXXX)
mount -t tmpfs -o mode=0755 tmpfs "$work"
mkdir "$work"/{cgroup,upper,overlay,root}
mount -t cgroup2 cgroup2 "$work/cgroup"
# The name does not depend on a PID: a PID may be in use in another container, or may have been in
# use before a run that was killed.
group=$(mktemp -d "$work/cgroup/memfuse-test-XXXXXX")
readonly group
chmod 0755 "$group"
outer=

finish() {
  local status=$? _
  trap - EXIT
  if ((status != 0)); then
    echo "--- what systemd said:" >&2
    tail -n 40 "$work/console" >&2 || true
    echo "--- the journal:" >&2
    inside timeout 10 journalctl --no-pager -o short-monotonic -n 60 >&2 || true
  fi
  # Its child, the first process of the PID namespace, ends with it, and all other processes end
  # with that child.
  if [[ -n $outer ]]; then
    kill -KILL "$outer" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
  fi
  # The processes of the namespace end a moment after their parent, and no event tells bash when.
  for _ in {1..600}; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [[ -d $group ]] || break
    sleep 0.1
  done
  umount --recursive --lazy "$work"
  rmdir "$work"
  exit "$status"
}
trap finish EXIT

# inside COMMAND...: runs COMMAND in the namespaces of that systemd.
inside() {
  local first
  first=$(pgrep --parent "$outer") || return 1
  nsenter --target "$first" --pid --mount --uts --ipc --cgroup --root --wd \
    env --ignore-environment PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
}

readonly root=$work/root
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/overlay" overlay "$root"
rm -rf "$root/etc/systemd/system" "$root/etc/memfuse" "$root/etc/systemd/user" "${root:?}/mnt" \
  "$root/var/log/journal"
mkdir -p "$root"/{etc/memfuse,etc/systemd/{system,user},usr/local/bin,usr/local/lib/systemd,mnt,oldroot}
: >"$root/etc/fstab"
install -m 0755 "$memfuse" "$root/usr/local/bin/memfuse"
ln -sf ../local/bin/memfuse "$root/usr/sbin/mount.memfuse"
cp -r "$units/system" "$units/user" "$root/usr/local/lib/systemd/"
cp -r "$here/cases" "$root/cases"
cp "$units/../metrics/memfuse-metrics.conf" "$root/etc/memfuse-metrics.conf"
cp "$units/scratch.conf" "$root/etc/memfuse/mnt-scratch.conf"
cp "$here"/units/* "$root/etc/systemd/system/"
mkdir "$root/etc/systemd/system/local-fs.target.wants"
ln -s /usr/local/lib/systemd/system/memfuse@.service \
  "$root/etc/systemd/system/local-fs.target.wants/memfuse@mnt-scratch.service"

(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount --uts --ipc --cgroup \
    bash "$here/init.sh" "$root"
) >"$work/console" 2>&1 </dev/null &
outer=$!

# within SECONDS COMMAND...: whether COMMAND succeeds in time. It is repeated, because bash has no
# event for what it tests.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

booted() { [[ $(inside systemctl is-active memfuse-test.target 2>/dev/null) == active ]]; }
ended() { ! grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$outer/status" 2>/dev/null; }
booted_or_ended() { booted || ended; }
within 120 booted_or_ended || true
booted || { echo "systemd did not start" >&2 && exit 1; }
inside timeout 240 bash /cases/"$case".sh

# At shutdown, systemd first stops the users of the mount, and no stop job times out.
was_active=$(inside systemctl is-active memfuse@mnt-scratch.service || true)
inside systemctl start --no-block --job-mode=replace-irreversibly poweroff.target
within 120 ended || { echo "systemd did not end" >&2 && exit 1; }
if [[ $was_active == active ]] && ! grep -q '^fuse' "$root/var/at-stop"; then
  echo "it was unmounted before what uses it was ended" >&2
  exit 1
fi
