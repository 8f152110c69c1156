# shellcheck shell=bash
# Sourced by run.sh, build.sh and the tests: the packages that they need, on Debian 12, Ubuntu 24.04
# and newer, and functions to install dependencies and to build.

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

# Used by the scripts that source this file.
# shellcheck disable=SC2034
build_packages=(
  cmake make ninja-build g++ libabsl-dev libgflags-dev libgoogle-glog-dev libgtest-dev libgmock-dev
  libboost-dev libncurses-dev libsystemd-dev liburing-dev nlohmann-json3-dev pkg-config
  fuse3 ca-certificates
)

# In addition: compilers and checkers of the code, and the programs that the tests run on a mount.
# shellcheck disable=SC2034
test_packages=(
  clang clang-format clang-tidy ccache flake8 libbenchmark-dev libclang-rt-dev shellcheck
  acl attr curl e2fsprogs fio git libcap2-bin man-db mandoc mount procps prometheus psmisc python3
  python3-yaml rsync sqlite3 strace systemd tmux util-linux zsh
)

# The browser of the page's test. Ubuntu has it as a snap only.
if grep -qsx 'ID=debian' /etc/os-release; then test_packages+=(chromium); fi

# The tools that make packages, and the additional tools of their test.
# shellcheck disable=SC2034
package_packages=(binutils dpkg-dev file gzip rpm xz-utils)
# shellcheck disable=SC2034
install_test_packages=(debootstrap lintian)

# say TEXT: prints a line of the script itself, marked among the output of its commands.
say() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

# as_root COMMAND...
as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "root is needed, and sudo is not installed, for: $*"
    return 1
  fi
}

# install_missing PACKAGE...: does nothing, and needs no root, if all packages are installed.
install_missing() {
  local package unknown=false missing=()
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian or Ubuntu; taking for granted what is there of: $*"
    return 0
  fi
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) != ii* ]]; then
      missing+=("$package")
    fi
  done
  if [[ ${#missing[@]} -eq 0 ]]; then return 0; fi

  say "installing ${missing[*]}"
  for package in "${missing[@]}"; do
    if [[ " ${masked_services[*]} " == *" $package "* ]]; then mask_service "$package"; fi
  done
  for package in "${missing[@]}"; do
    # A fresh machine has no package lists before its first update.
    if [[ -z $(apt-cache madison "$package" 2>/dev/null) ]]; then unknown=true; fi
  done
  if $unknown; then fetch_lists; fi
  # The mirror may have removed a known package since the lists were fetched.
  apt_get install "${missing[@]}" || { fetch_lists && apt_get install "${missing[@]}"; }
}

# Services of test_packages that must not start on the machine: the tests run the programs themselves.
masked_services=(prometheus)

# mask_service NAME: keeps the installation of the package from starting its service.
mask_service() {
  local unit=/etc/systemd/system/$1.service
  if [[ -e $unit || -L $unit ]]; then return 0; fi
  as_root mkdir -p "${unit%/*}"
  as_root ln -s /dev/null "$unit"
}

# A machine that has just started may be running its daily updates. apt-get waits for the lock on the
# packages, but not for the lock on the lists.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-install-recommends \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}
fetch_lists() {
  local wait
  for wait in 5 10 20 40; do
    if apt_get update; then return 0; fi
    sleep "$wait"
  done
  apt_get update
}

# The command prefix of builds and tests; test.sh sets it for the sanitizers.
wrapper=()

# configure PRESET [cmake argument...]
configure() {
  local preset=$1 launcher=()
  shift
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  (cd "$root" && cmake --preset "$preset" "${launcher[@]}" "$@")
}

# build PRESET [TARGET...]: configures once; later, ninja configures again when needed.
build() {
  local preset=$1 targets=()
  shift
  # Without these settings ccache does not cache files that use a precompiled header, nor reuse what
  # another checkout, or the build of another package, has compiled.
  export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  if [[ $# -gt 0 ]]; then targets=(--target "$@"); fi
  if [[ ! -e $root/build/$preset/build.ninja ]]; then
    configure "$preset" || return 1
  fi
  (cd "$root" && "${wrapper[@]}" cmake --build --preset "$preset" "${targets[@]}")
}
