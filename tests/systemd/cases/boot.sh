# The order of boot, the options, and the privileges of a service with the unit's settings.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tests/systemd/cases/common.sh
. /cases/common.sh

# Enabled in local-fs.target, the mount existed when ordinary services started.
expect "the service" active systemctl is-active "$unit"
expect "what the service that uses it wrote" started cat /mnt/scratch/by-service
# The options of the example.
expect "the size in KiB" 4194304 size_of /mnt/scratch
contains "$(systemctl status "$unit")" 'Status: "Serving /mnt/scratch: 4.0 GiB'
# With hardening, and visible outside the unit.
expect "the mount namespace" "$(readlink /proc/1/ns/mnt)" readlink "/proc/$(main_pid)/ns/mnt"
wait_until 60 said "$unit" 'serving /mnt/scratch'

# The service supports the same data stores and transports as the program on the command line.
mkdir /mnt/byhand
memfuse --foreground --size=4g /mnt/byhand 2>/tmp/byhand &
wait_until 60 grep -qs 'serving /mnt/byhand' /tmp/byhand
described() { grep -o '; requests: .*' | sed 's/ \[.*//' | tail -n 1; }
expect "the description" "$(described </tmp/byhand)" described < <(journalctl -u "$unit" -o cat)
umount /mnt/byhand
wait

# Names with spaces and dashes, which systemd escapes, and a directory that the unit makes.
mkdir -p '/etc/memfuse/mnt/a dir'
echo "MEMFUSE_OPTIONS=--size=1m --fsname='a name'" >'/etc/memfuse/mnt/a dir/build-cache.conf'
escaped=$(systemd-escape --path --template=memfuse@.service '/mnt/a dir/build-cache')
contains "$escaped" '\x2d'
systemctl start "$escaped"
is_memfuse '/mnt/a dir/build-cache' || fail "nothing is mounted for $escaped"
expect "its name" "a name" findmnt -no SOURCE '/mnt/a dir/build-cache'
systemctl stop "$escaped"

# If there are two files of options, the one with the name of the instance counts. Either file alone
# is enough.
echo 'MEMFUSE_OPTIONS=--size=2m' >/etc/memfuse/mnt/both.conf
echo 'MEMFUSE_OPTIONS=--size=3m' >/etc/memfuse/mnt-both.conf
systemctl start memfuse@mnt-both.service
expect "the size in KiB" 3072 size_of /mnt/both
systemctl stop memfuse@mnt-both.service
rm /etc/memfuse/mnt-both.conf
systemctl start memfuse@mnt-both.service
expect "the size in KiB" 2048 size_of /mnt/both
systemctl stop memfuse@mnt-both.service

# The sandbox has no network, except with the drop-in for the metrics port.
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
echo "MEMFUSE_OPTIONS=--size=1m --metrics_listen=127.0.0.1:$port" >/etc/memfuse/mnt-metrics.conf
expect_failure systemctl start memfuse@mnt-metrics.service
wait_until 60 said memfuse@mnt-metrics.service '--metrics_listen: cannot listen on port'
mkdir /etc/systemd/system/memfuse@mnt-metrics.service.d
cp /etc/memfuse-metrics.conf /etc/systemd/system/memfuse@mnt-metrics.service.d/
systemctl daemon-reload
systemctl start memfuse@mnt-metrics.service
contains "$(curl --silent "http://127.0.0.1:$port/metrics")" "memfuse_size_bytes 1048576"
systemctl stop memfuse@mnt-metrics.service

# Files with all kinds of attributes, written by other users.
dir=/mnt/scratch/work
mkdir -m 1777 "$dir"
install -m 4755 /bin/true "$dir/suid"
setpriv --reuid nobody --regid nogroup --clear-groups -- bash -c "
  set -e
  umask 077
  echo mine > $dir/mine
  chmod 0000 $dir/mine
  head -c 5000000 /dev/zero > $dir/large
  cp $dir/large $dir/copy
  truncate -s 10 $dir/copy
  mkfifo $dir/fifo
  ln -s large $dir/link"
chown 12:34 "$dir/large"
chattr +i "$dir/large"
expect_failure rm -f "$dir/large"
chattr -i "$dir/large"
mknod "$dir/null" c 1 3
echo gone >"$dir/null"
expect "mode and owner" "4755 0:0" stat -c '%a %u:%g' "$dir/suid"
expect "data of nobody" mine cat "$dir/mine"
rm -r "$dir"

# The daemon inspects the caller: its CAP_FSETID keeps the set-group-ID bit at a change of owner.
echo >/mnt/scratch/setgid
chown 1234:4000 /mnt/scratch/setgid
chmod 2745 /mnt/scratch/setgid
setpriv --reuid 1234 --clear-groups --inh-caps=-all,+chown,+fsetid --ambient-caps=-all,+chown,+fsetid -- \
  chown 4000 /mnt/scratch/setgid
expect "a mode" 2745 stat -c %a /mnt/scratch/setgid
