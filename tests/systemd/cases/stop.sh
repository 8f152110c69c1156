# Stopping, also of a busy mount, and unmounting by other processes.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tests/systemd/cases/common.sh
. /cases/common.sh

systemctl stop "$unit"
expect "the service" inactive systemctl is-active "$unit"
expect_failure mountpoint -q /mnt/scratch

systemctl start "$unit"
expect "what is in a new one" "" ls /mnt/scratch
(cd /mnt/scratch && exec 3>held && exec sleep 1000) &
user=$!
wait_until 60 test -e /mnt/scratch/held
# If the daemon waited for the user of the mount, systemd would kill it, and the result would be
# "timeout".
systemctl stop "$unit"
expect "the service" inactive systemctl is-active "$unit"
expect "the result" Result=success systemctl show -p Result "$unit"
expect_failure mountpoint -q /mnt/scratch
kill "$user"

systemctl start "$unit"
umount /mnt/scratch
wait_until 60 bash -c "[[ \$(systemctl is-active '$unit') == inactive ]]"
expect "the result" Result=success systemctl show -p Result "$unit"

# A change of the unit file (an upgrade) does not affect running instances.
systemctl start "$unit"
echo kept >/mnt/scratch/file
before=$(main_pid)
systemctl daemon-reload
reexecute
expect "the process" "$before" main_pid
expect "its file" kept cat /mnt/scratch/file
