#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the virtual machine: finds the disk, and starts what is on it. If anything
# fails, the kernel panics and the machine ends.
set -e
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
  [ ! -e "$module" ] || /bin/busybox insmod "$module"
done
# The kernel finds the disk in the background. Without udev no event tells when.
tries=0
until [ -b /dev/vda ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ]
  /bin/busybox sleep 0.1
done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /tests/guest_init.sh
