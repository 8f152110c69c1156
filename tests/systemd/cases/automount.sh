# Lines of fstab through mount.memfuse: mounted at boot, and mounted on the first access.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tests/systemd/cases/common.sh
. /cases/common.sh

mkdir -p /mnt/plain
cat >/etc/fstab <<'END'
none /mnt/plain memfuse size=48m,nofail 0 0
none /mnt/auto  memfuse size=32m,noauto,nofail,x-systemd.automount 0 0
END
systemctl daemon-reload

# The daemon runs in the unit's control group, and continues after mount(8) has ended.
systemctl start mnt-plain.mount
is_memfuse /mnt/plain || fail "nothing is mounted at /mnt/plain"
echo kept >/mnt/plain/file
systemctl daemon-reload
reexecute

systemctl start mnt-auto.automount
expect "what is there before" systemd-1 findmnt -no SOURCE /mnt/auto
expect "the size in KiB" 32768 size_of /mnt/auto/.
systemctl stop mnt-auto.automount mnt-auto.mount
expect_failure mountpoint -q /mnt/auto

# The first mount continues, although the new process of systemd has carried out jobs since.
expect "its file" kept cat /mnt/plain/file
systemctl stop mnt-plain.mount
expect_failure mountpoint -q /mnt/plain
