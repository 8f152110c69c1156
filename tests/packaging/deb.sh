# shellcheck shell=bash
# The .deb, in a minimal root of a release of Debian or Ubuntu.
# shellcheck disable=SC2154  # install_test.sh sets what is not set here

# The package and its next version, at the same path in every root.
readonly deb=/root/memfuse.deb next=/root/memfuse-next.deb
# The location of an enabled unit.
readonly wants=/etc/systemd/system/local-fs.target.wants

# Errors, and warnings without an override.
check_policy() {
  say "policy"
  lintian --fail-on error,warning "$packages"/*.deb || fail "lintian reports errors"
}

apt_in_root() {
  timeout 600 chroot "$tree" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    apt-get --yes --quiet --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

make_root() {
  local suite=$1 source
  say "$suite: a minimal root"
  tree=$work/$suite
  remove_tree
  # Installs with the mirrors of this machine's own packages, if they have that release.
  # shellcheck disable=SC2016  # expands in apt-get
  source=${DEBOOTSTRAP_SOURCE:-$(apt-get indextargets --format '$(REPO_URI)' \
    "Created-By: Packages" "Codename: $suite" "Component: main" | sort --unique | sed 1q)}
  eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
  export http_proxy
  # Packages that the conformance cases call, too.
  # shellcheck disable=SC2086  # may be several
  timeout 1200 debootstrap --variant=minbase --include=acl,attr,e2fsprogs,libcap2-bin \
    ${DEBOOTSTRAP_OPTIONS:-} "$suite" "$tree" $source >"$work/debootstrap.log" 2>&1 ||
    fail "debootstrap: $(tail -n 5 "$work/debootstrap.log")"
  mount_kernel_files
  cp /etc/resolv.conf "$tree/etc/resolv.conf"
  in_root useradd --create-home --uid 1234 --user-group tester
  cp "$packages"/memfuse_*.deb "$tree$deb"
  cp "$next_deb" "$tree$next"
  mkdir "$tree/mnt/"{hand,helper,fstab,"with blank",later}
  mkdir -p "$tree$wants"
  apt_in_root update >"$work/apt.log" 2>&1 || fail "apt-get update: $(tail -n 5 "$work/apt.log")"
}

# The names as dpkg has them, with architecture where needed.
# shellcheck disable=SC2016  # expands in dpkg-query
list_packages() { in_root dpkg-query --show --showformat '${binary:Package}\n' | sort; }

# Lists all names except those that package management and mount(8) keep as a history. (If a package
# has /bin and the like, such as Ubuntu's fuse3, dpkg makes /bin.usr-is-merged and leaves it.)
list_files() {
  (cd "$tree" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./var/cache \
    -o -path ./bin.usr-is-merged -o -path ./lib.usr-is-merged -o -path ./sbin.usr-is-merged \
    -o -path ./var/log -o -path ./run/mount -o -path ./tmp -o -path ./proc -o -path ./sys \) -prune \
    -o -print | sort)
}

# The files of memfuse itself. Other changes of an installation are those of its dependencies.
check_deb() {
  make_root "$1"
  list_files >"$work/before"
  list_packages >"$work/packages-before"

  say "$1: apt-get install"
  apt_in_root install "$deb" >"$work/install.log" 2>&1 || fail "$(tail -n 20 "$work/install.log")"
  in_root memfuse --version
  check_build_id
  check_mounts
  check_conformance "$1"
  check_upgrade "$1"
  check_removal "$1"
}

# Debuggers find the symbols of memfuse-dbgsym.
check_build_id() {
  local id
  id=$(readelf --notes "$tree/usr/bin/memfuse" | awk '/Build ID:/ { print $3 }')
  # Not grep -q: dpkg prints an error if its reader exits early.
  dpkg --contents "$packages"/memfuse-dbgsym_*.deb |
    grep "/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug$" >/dev/null ||
    fail "memfuse-dbgsym is of another build than memfuse"
}

# Every way to mount.
check_mounts() {
  say "mounts by hand, by mount(8), by fstab, by a user"
  in_root memfuse /mnt/hand --size=64m
  check_use /mnt/hand
  unmount /mnt/hand in_root umount /mnt/hand

  in_root mount -t memfuse none /mnt/helper -o size=64m,mode=1777
  check_use /mnt/helper
  unmount /mnt/helper in_root umount /mnt/helper

  echo "none /mnt/fstab memfuse size=64m,nofail,x-systemd.requires=/ 0 0" >"$tree/etc/fstab"
  in_root mount /mnt/fstab
  check_use /mnt/fstab
  unmount /mnt/fstab in_root umount /mnt/fstab
  : >"$tree/etc/fstab"

  as_user mkdir /home/tester/mount
  as_user memfuse /home/tester/mount --size=64m
  as_user sh -c 'echo mine >~tester/mount/file && grep -qx mine ~tester/mount/file' ||
    fail "the user cannot use it"
  unmount /home/tester/mount as_user fusermount3 -u /home/tester/mount
  rmdir "$tree/home/tester/mount"
}

# Every case, in the two configurations that differ most.
check_conformance() {
  local mode
  install -m 0755 "$conformance" "$tree/root/conformance_test"
  # The libraries of the test program. Some cases run it set-user-ID, and the loader then searches
  # only the standard directories.
  local libraries
  libraries=$(ldd "$conformance" | awk '/libabsl_/ { print $3 }')
  # shellcheck disable=SC2086  # a list
  cp $libraries "$tree/usr/local/lib/"
  in_root ldconfig
  cp "$here/../conformance/run_conformance.sh" "$tree/root/"
  for mode in root user; do
    say "$1: conformance as $mode"
    in_own_root timeout 660 bash /root/run_conformance.sh /usr/bin/memfuse /root/conformance_test \
      "$mode" 8 --data=auto -- --gtest_brief=1 >"$work/conformance-$mode.log" 2>&1 ||
      fail "$(tail -n 50 "$work/conformance-$mode.log")"
    tail -n 1 "$work/conformance-$mode.log"
  done
  rm "$tree/root/"{conformance_test,run_conformance.sh}
  rm "$tree/usr/local/lib/"libabsl_*
  in_root ldconfig
}

# Appends numbers through one descriptor for as long as /run/go exists, and reads each back through
# another descriptor.
# shellcheck disable=SC2016  # expands in the root
readonly busy_program='
  exec 3>>"$1/numbers"
  for ((i = 1; ; i++)); do
    echo "$i" >&3
    [[ $(tail -n 1 "$1/numbers") == "$i" ]] || exit 1
    [[ -e /run/go ]] || exit 0
  done'

# has_lines FILE COUNT: FILE has at least COUNT lines.
has_lines() { [[ -e $1 ]] && (($(wc -l <"$1") >= $2)); }

check_upgrade() {
  local busy before daemon version numbers=$tree/mnt/hand/numbers
  say "$1: upgrade under a busy mount"
  in_root memfuse /mnt/hand --size=64m
  in_root memfuse "/mnt/with blank" --size=64m
  daemon=$(daemon_of /mnt/hand)
  version=$(in_root memfuse --version)
  touch "$tree/run/go"
  chroot "$tree" bash -c "$busy_program" busy /mnt/hand &
  busy=$!
  wait_until 60 has_lines "$numbers" 1 || fail "the busy program does not start"

  apt_in_root install "$next" >"$work/upgrade.log" 2>&1 || fail "$(tail -n 20 "$work/upgrade.log")"
  before=$(wc -l <"$numbers")
  wait_until 60 has_lines "$numbers" "$((before + 1))" ||
    fail "the busy program stands still after the upgrade"
  rm "$tree/run/go"
  wait "$busy" || fail "the busy program failed"
  [[ $(tail -n 1 "$numbers") == "$(wc -l <"$numbers")" ]] || fail "lines are lost"

  [[ $(daemon_of /mnt/hand) == "$daemon" ]] || fail "another process serves the old mount"
  [[ $(version_of "$daemon") == "$version" ]] || fail "the old mount changed its version"
  in_root memfuse /mnt/later --size=64m
  [[ $(version_of "$(daemon_of /mnt/later)") == "$(in_root memfuse --version)" ]] ||
    fail "the new mount is not by the program that is installed"
  [[ $(in_root memfuse --version) != "$version" ]] || fail "the version did not change"
  unmount /mnt/later in_root umount /mnt/later
}

# version_of PROCESS: prints the version of the program that PROCESS runs, even if its file was
# replaced or removed.
version_of() { in_root "/proc/$1/exe" --version; }

check_removal() {
  local directory brought
  say "$1: removal, purge"
  apt_in_root remove memfuse >"$work/remove.log" 2>&1 || fail "$(tail -n 20 "$work/remove.log")"
  [[ ! -e $tree/usr/bin/memfuse ]] || fail "the program is still there"
  for directory in /mnt/hand "/mnt/with blank"; do
    grep -qxF "  $directory" "$work/remove.log" || fail "removal does not name $directory"
  done
  check_use /mnt/hand
  unmount /mnt/hand in_root umount /mnt/hand
  unmount "/mnt/with blank" in_root umount "/mnt/with blank"

  ln -s /usr/lib/systemd/system/memfuse@.service "$tree$wants/memfuse@mnt.service"
  apt_in_root purge memfuse >"$work/purge.log" 2>&1 || fail "$(tail -n 20 "$work/purge.log")"
  if in_root dpkg --status memfuse >/dev/null 2>&1; then fail "dpkg still knows the package"; fi
  # autoremove would keep packages that another package only recommends or suggests.
  mapfile -t brought < <(list_packages | comm -13 "$work/packages-before" -)
  apt_in_root purge "${brought[@]}" >>"$work/purge.log" 2>&1 || fail "$(tail -n 20 "$work/purge.log")"
  list_packages >"$work/packages-after"
  diff "$work/packages-before" "$work/packages-after" >"$work/left" ||
    fail "purge leaves packages: $(<"$work/left")"
  list_files >"$work/after"
  diff "$work/before" "$work/after" >"$work/left" || fail "purge leaves: $(head -n 20 "$work/left")"
}
