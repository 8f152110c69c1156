#!/usr/bin/env bash
# init.sh ROOT: the first process of the namespaces that run.sh made; executes systemd in ROOT.
set -euo pipefail
root=$1

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom tty fuse autofs; do
  [[ -e /dev/$device ]] || continue
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
cd "$root"
pivot_root . oldroot
umount --lazy /oldroot
systemd=/lib/systemd/systemd
exec env --ignore-environment container=memfuse-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  "$systemd" --system --unit=memfuse-test.target --log-target=console --show-status=no
