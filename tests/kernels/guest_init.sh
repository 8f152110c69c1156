#!/bin/bash
# Process 1 of the virtual machine, in place of systemd. It sets up the system as programs expect,
# runs the tests, and shuts down. It also reaps processes that daemons leave.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t devtmpfs devtmpfs /dev
# Results go to a separate serial port. The kernel uses the first one.
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=0755 run /run
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
echo memfuse-test >/proc/sys/kernel/hostname
ln -s /proc/self/fd /dev/fd
ln -sf ../proc/self/mounts /etc/mtab
modprobe fuse
mount -t fusectl fusectl /sys/fs/fuse/connections
# The symbolic links that udev makes.
chmod 0666 /dev/fuse
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
# The settings of systemd.
ulimit -Hn 524288

# The host assumes that a machine without output for long hangs. Nothing waits for these lines.
while echo "alive $SECONDS"; do sleep 10; done &
alive=$!
mkdir /tests/logs
if bash /tests/guest_tests.sh; then end=passed; else end=failed; fi
dmesg >/tests/logs/kernel.log
kill "$alive"
sync
mount -o remount,ro /
echo "end $end"
# stty changes the settings after the transmission of the last line.
stty -F /dev/ttyS1 raw -echo
exec busybox poweroff -f
