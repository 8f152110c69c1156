# shellcheck shell=bash
# The .rpm, in a root that holds what its dependencies name and nothing else.
# shellcheck disable=SC2154  # install_test.sh sets what is not set here

# Packages that Fedora and openSUSE have under the same names, as old as the distributions of the
# .rpm.
readonly provided='^(fuse3|/bin/sh|rtld\(GNU_HASH\)|rpmlib\(.*|ld-linux-.*|lib(c|m)\.so\.6.*'\
'|libgcc_s\.so\.1.*|libstdc\+\+\.so\.6.*|libunwind\.so\.8.*|libsystemd\.so\.0.*)$'
readonly newest_glibc=2.36 newest_libstdcxx=3.4.30

check_rpm() {
  local package names
  package=$(echo "$packages"/memfuse-[0-9]*.rpm)
  tree=$work/rpm
  say "rpm: dependencies"
  names=$(rpm --query --package --requires "$package")
  ! grep -vE "$provided" <<<"$names" || fail "the .rpm needs the above, which some target distributions lack"
  check_newest GLIBC "$newest_glibc" "$names"
  check_newest GLIBCXX "$newest_libstdcxx" "$names"

  say "rpm: installation"
  remove_tree
  mkdir -p "$tree"/{usr/bin,usr/lib,usr/sbin,mnt/hand,tmp,run,etc}
  ln -s usr/bin usr/lib usr/sbin "$tree/"
  # The loader of this machine and the .rpm use different library directories.
  ln -s usr/lib "$tree/lib64"
  mount_kernel_files
  copy_program /bin/sh
  copy_program /bin/sed
  copy_libraries "$names"
  # rpm knows no package of the tree, so it cannot find the dependencies.
  rpm --root "$tree" --install --nodeps "$package" >"$work/rpm-install.log" 2>&1 ||
    fail "$(<"$work/rpm-install.log")"
  ! grep warning: "$work/rpm-install.log" || fail "installation warns"
  run_rpm_program --version
  run_rpm_program /mnt/hand --size=64m
  check_use /mnt/hand

  say "rpm: removal"
  rpm --root "$tree" --erase --nodeps memfuse >"$work/rpm-erase.log" 2>&1 ||
    fail "$(<"$work/rpm-erase.log")"
  grep -qxF "  /mnt/hand" "$work/rpm-erase.log" || fail "removal does not name /mnt/hand"
  [[ ! -e $tree/usr/bin/memfuse ]] || fail "the program is still there"
  check_use /mnt/hand
  unmount /mnt/hand umount "$tree/mnt/hand"
  ! find "$tree" -xdev -name '*memfuse*' | grep . || fail "removal leaves the above"
}

run_rpm_program() { timeout 60 chroot "$tree" /usr/bin/memfuse "$@" || fail "memfuse $* in the tree"; }

# check_newest SET VERSION NAMES: checks that no version of that set of symbols in NAMES is newer
# than VERSION.
check_newest() {
  local newest
  newest=$(grep -oE "\($1_[0-9.]+\)" <<<"$3" | tr -d '()' | sed "s/^$1_//" | sort --version-sort |
    tail -n 1)
  [[ $(printf '%s\n' "$newest" "$2" | sort --version-sort | tail -n 1) == "$2" ]] ||
    fail "the .rpm needs $1_$newest, newer than $2"
}

# The libraries of this machine.
copy_library() { cp --dereference -- "$1" "$tree/usr/lib/"; }

copy_program() {
  local library
  cp --dereference -- "$1" "$tree/usr/bin/"
  while read -r library; do
    copy_library "$library"
  done < <(ldd "$1" | grep -oE '/[^ ]+')
}

# copy_libraries NAMES: copies exactly the libraries that the package names, and their dependencies.
copy_libraries() {
  local name path library known
  known=$(/sbin/ldconfig -p)
  while read -r name; do
    path=$(awk -v name="$name" '$1 == name && !found++ { print $NF }' <<<"$known")
    [[ -n $path ]] || fail "this machine has no $name"
    copy_library "$path"
    while read -r library; do
      copy_library "$library"
    done < <(ldd "$path" | grep -oE '/[^ ]+')
  done < <(grep -oE '^(lib|ld-)[^()]+\.so[.0-9]*' <<<"$1" | sort --unique)
}
