# A user's own service, under the service manager of that user.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tests/systemd/cases/common.sh
. /cases/common.sh

home=/home/tester
manager="manager-of-user.service"
# In a directory that precedes a unit of this name on the machine.
sed -i "1i tester:x:1234:1234::$home:/bin/bash" /etc/passwd
rm -rf "$home"
install -d -o 1234 -g 1234 "$home"

as_user() {
  setpriv --reuid 1234 --regid 1234 --clear-groups \
    env HOME="$home" XDG_RUNTIME_DIR=/run/user/1234 timeout 60 "$@"
}
own() { as_user systemctl --user "$@"; }
pid_of() { own show --value -p MainPID "$1"; }
# Root may not access the mount.
kib_of() { as_user df --output=size "$1" | tail -n 1 | tr -d ' '; }
nothing_mounted_at() { ! findmnt --mountpoint "$1" >/dev/null; }

# An instance whose options file has its name, and one with a backslash in its name.
scratch=$home/scratch cache=$home/build-cache
plain=memfuse@home-tester-scratch.service
escaped=$(systemd-escape --path --template=memfuse@.service "$cache")
contains "$escaped" '\x2d'
as_user mkdir -p "$home/.config/memfuse/home/tester"
echo "MEMFUSE_OPTIONS=\"--size=5m --fsname='a name'\"" >"$home/.config/memfuse/home-tester-scratch.conf"
echo 'MEMFUSE_OPTIONS=--size=6m' >"$home/.config/memfuse/home/tester/build-cache.conf"

systemctl start "$manager"
own enable --now "$plain" "$escaped" 2>/tmp/said || fail "$(</tmp/said)"
for directory in "$scratch" "$cache"; do
  is_memfuse "$directory" || fail "nothing is mounted at $directory"
done
expect "its name" "a name" findmnt -no SOURCE "$scratch"
expect "the size in KiB" 5120 kib_of "$scratch"
expect "the size in KiB" 6144 kib_of "$cache"
contains "$(own status "$plain")" "Status: \"Serving $scratch: 5.0 MiB"
expect "writing to it" "" as_user cp /etc/passwd "$scratch/"

# The stale mount of a killed daemon is removed, and a stop unmounts.
kill -KILL "$(pid_of "$plain")"
wait_until 60 own is-failed --quiet "$plain"
wait_until 60 nothing_mounted_at "$scratch"
expect "a second start" "" own start "$plain"
expect "what is in it" "" as_user ls "$scratch"
expect "a stop" "" own stop "$escaped"
nothing_mounted_at "$cache" || fail "$cache is still mounted"

# Enabled instances stop with the manager and start with it.
daemon=$(pid_of "$plain")
expect "the end of the manager" "" systemctl stop "$manager"
nothing_mounted_at "$scratch" || fail "$scratch is still mounted"
[[ ! -e /proc/$daemon ]] || fail "the daemon goes on without the manager"
systemctl start "$manager"
for unit in "$plain" "$escaped"; do wait_until 60 own is-active --quiet "$unit"; done
is_memfuse "$scratch" || fail "nothing is mounted at $scratch"
