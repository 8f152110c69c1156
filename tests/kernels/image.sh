# shellcheck shell=bash
# Sourced by run.sh: fetches kernels, and makes what a virtual machine starts from. `work` has
#
#   base/              a root directory of Debian 12, as debootstrap leaves it
#   KERNEL/package/    the kernel's package, unpacked
#   KERNEL/initramfs   what mounts the root
#   KERNEL/image       the root: base, the kernel's modules, memfuse's package, tests
#   KERNEL/logs/       what the tests said
# shellcheck disable=SC2154  # run.sh sets what is not set here

# The packages that the tests need in addition to the dependencies of memfuse's package.
# busybox-static is for the initramfs.
readonly base_suite=bookworm
base_packages=(
  acl attr busybox-static e2fsprogs fuse3 git kmod libcap2-bin linux-libc-dev mount procps psmisc
  python3 rsync sqlite3 util-linux
)

# Prints the suite of Debian that has the kernel.
suite_of() {
  case $1 in
    6.1) echo bookworm ;;
    6.12) echo trixie ;;
  esac
}

# The mirrors of this machine's own packages. debian-security is beside debian.
mirror() {
  local uri
  # shellcheck disable=SC2016  # expands in apt-get
  uri=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Origin: Debian" \
    "Component: main" | grep '/debian/*$' | sed 1q) || true
  echo "${uri:-http://deb.debian.org/debian}"
}

# apt-get installs the package with its dependencies, so the machine needs no network.
prepare_base() {
  local depends list stamp
  depends=$(dpkg-deb --field "$deb" Depends | sed -E 's/ *\([^)]*\)//g; s/ *\|[^,]*//g; s/, */ /g')
  # shellcheck disable=SC2086  # a list
  list=$(printf '%s\n' "${base_packages[@]}" $depends | sort --unique | paste -sd,)
  stamp=$work/base.packages
  if [[ -e $stamp && $(<"$stamp") == "$list" ]]; then return; fi
  say "a root directory of $base_suite"
  rm -rf --one-file-system "$work/base" "$stamp"
  timeout 1800 debootstrap --variant=minbase --include="$list" "$base_suite" "$work/base" \
    "$(mirror)" >"$work/debootstrap.log" 2>&1 ||
    fail "debootstrap: $(tail -n 5 "$work/debootstrap.log")"
  rm -rf "$work/base/var/cache/apt/archives" "$work/base/var/lib/apt/lists"
  chroot "$work/base" useradd --create-home --uid 1234 --user-group tester
  echo "$list" >"$stamp"
}

# apt_of DIRECTORY COMMAND ARGUMENT...: apt-get or apt-cache with the sources and lists in DIRECTORY.
# The machine's own stay as they are, and nothing is installed.
apt_of() {
  local directory=$1 command=$2
  shift 2
  timeout 600 "$command" -o Dir::Etc::sourcelist="$directory/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$directory/state" \
    -o Dir::State::status=/dev/null -o Dir::Cache="$directory/cache" -o APT::Sandbox::User=root "$@"
}

# fetch_kernel KERNEL: fetches the newest package of the suite, with its security updates.
fetch_kernel() {
  local kernel=$1 suite apt=$work/$1/apt package mirror
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  suite=$(suite_of "$kernel") mirror=$(mirror)
  rm -rf "${work:?}/$kernel"
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
  cat >"$apt/sources.list" <<END
deb [signed-by=$keyring] $mirror $suite main
deb [signed-by=$keyring] ${mirror%/}-security $suite-security main
END
  apt_of "$apt" apt-get update >"$apt/log" 2>&1 || fail "apt-get update: $(tail -n 5 "$apt/log")"
  package=$(apt_of "$apt" apt-cache show --no-all-versions linux-image-cloud-amd64 |
    sed -nE 's/^Depends: (linux-image-[^ ,]*).*/\1/p')
  [[ -n $package ]] || fail "$suite has no linux-image-cloud-amd64"
  say "fetching $package"
  (cd "$apt" && apt_of "$apt" apt-get download "$package") >>"$apt/log" 2>&1 ||
    fail "apt-get download: $(tail -n 5 "$apt/log")"
  dpkg -x "$apt"/linux-image-*.deb "$work/$kernel/package"
  rm -rf "$apt"
}

# prepare_kernel KERNEL: fetched once. Remove the directory to fetch a newer one.
prepare_kernel() {
  local package=$work/$1/package version
  if [[ ! -e $work/$1/initramfs ]]; then
    fetch_kernel "$1"
    # If the package has /lib and not /usr/lib, tools search for modules there.
    if [[ -d $package/lib ]]; then
      mkdir -p "$package/usr"
      mv "$package/lib" "$package/usr/lib"
    fi
    ln -s usr/lib "$package/lib"
    version=$(ls "$package/lib/modules")
    depmod --basedir "$package" "$version"
    make_initramfs "$1" "$version"
  fi
}

# make_initramfs KERNEL VERSION: a shell, and the modules of the disk in load order.
make_initramfs() {
  local package=$work/$1/package tree=$work/$1/initramfs.tree file number=100
  mkdir -p "$tree"/{bin,dev,proc,root,modules}
  cp "$work/base/bin/busybox" "$tree/bin/"
  install -m 0755 "$here/initramfs_init.sh" "$tree/init"
  # The lines are 'insmod FILE' or 'builtin NAME'. A module may be named twice.
  for module in virtio_pci virtio_blk; do
    modprobe --dirname "$package" --set-version "$2" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/$1/modules"
  while read -r file; do
    ((++number))
    case $file in
      *.xz) xz -dc "$file" >"$tree/modules/$number.ko" ;;
      *) cp "$file" "$tree/modules/$number.ko" ;;
    esac
  done <"$work/$1/modules"
  (cd "$tree" && find . | cpio --quiet --create --format=newc) >"$work/$1/initramfs.new"
  rm -r "$tree"
  mv "$work/$1/initramfs.new" "$work/$1/initramfs"
}

# prepare_image KERNEL: an ext4 file system with all files, made without mounting it.
prepare_image() {
  local tree=$work/$1/tree libraries
  rm -rf --one-file-system "$tree" "$work/$1/image"
  cp -a "$work/base" "$tree"
  cp -a "$work/$1/package/usr/lib/modules" "$tree/usr/lib/"
  mkdir -p "$tree/tests/"{conformance,stress/differential,mount,testing,bin} "$tree/mnt/"{hand,helper,fstab}
  cp "$deb" "$tree/tests/memfuse.deb"
  cp "$here/"{guest_init.sh,guest_tests.sh} "$tree/tests/"
  cp "$here/../conformance/run_conformance.sh" "$tree/tests/conformance/"
  cp "$here/../stress/"{run_stress.sh,tsan.supp} "$tree/tests/stress/"
  cp "$here/../stress/differential/run_differential.sh" "$tree/tests/stress/differential/"
  cp -r "$here/../mount/programs" "$tree/tests/mount/"
  cp "$here/../testing/mount.sh" "$tree/tests/testing/"
  install -s -m 0755 "$programs/conformance/conformance_test" "$programs/stress/stress_tree" \
    "$programs/stress/differential/differential" "$tree/tests/bin/"
  # The libraries of the test programs. Some cases run theirs set-user-ID, and the loader then
  # searches only the standard directories.
  libraries=$(ldd "$programs/conformance/conformance_test" "$programs/stress/stress_tree" \
    "$programs/stress/differential/differential" | awk '/lib(absl|gflags)/ { print $3 }' | sort -u)
  # shellcheck disable=SC2086  # a list
  cp $libraries "$tree/usr/local/lib/"
  chroot "$tree" ldconfig
  mke2fs -q -t ext4 -O ^has_journal -d "$tree" "$work/$1/image" 2G
  rm -rf --one-file-system "$tree"
}
