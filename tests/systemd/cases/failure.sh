# The daemon is killed, or cannot start.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tests/systemd/cases/common.sh
. /cases/common.sh

kill -KILL "$(main_pid)"
wait_until 60 systemctl is-failed --quiet "$unit"
wait_until 60 bash -c '! grep -q " /mnt/scratch " /proc/self/mounts'
expect "a second start" "" systemctl start "$unit"
expect "what is in it" "" ls /mnt/scratch
systemctl stop "$unit"

# A foreign mount at the same directory survives a failed start.
echo 'MEMFUSE_OPTIONS=--size=lots' >/etc/memfuse/mnt-scratch.conf
mount -t tmpfs other /mnt/scratch
expect_failure systemctl start "$unit"
expect "the foreign mount" other findmnt -no SOURCE /mnt/scratch
contains "$(systemctl status "$unit" || true)" "Status: \"--size: 'lots' is no size"
contains "$(systemctl status "$unit" || true)" "Error: 22 (Invalid argument)"
wait_until 60 said "$unit" "--size: 'lots' is no size" -p err

# An instance without the file has the defaults. A broken instance stops no other unit.
systemctl start memfuse@mnt-defaults.service
is_memfuse /mnt/defaults || fail "nothing is mounted at /mnt/defaults"
expect "the target" active systemctl is-active local-fs.target
