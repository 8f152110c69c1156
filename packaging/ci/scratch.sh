#!/usr/bin/env bash
# Scratch space or a build cache in memory for a job of continuous integration:
#
#   scratch.sh mount     installs memfuse if it is missing, and mounts
#   scratch.sh unmount   unmounts the mount that 'mount' made
#
# Both may be repeated. For Debian and Ubuntu. The settings come from the environment:
#
#   MEMFUSE_PATH      the mount point; created if it is missing, and owned by the caller
#   MEMFUSE_SIZE      limit, in the syntax of --size of memfuse(1) (default 50%)
#   MEMFUSE_OPTIONS   more flags of memfuse(1), split at blanks
#   MEMFUSE_PACKAGE   the package to install if memfuse is missing: a .deb, a file or a URL
#   MEMFUSE_SUDO      'no': do not use root even if that is possible
set -euo pipefail

path=${MEMFUSE_PATH:-}
readonly size=${MEMFUSE_SIZE:-50%} package=${MEMFUSE_PACKAGE:-}
read -r -a options <<<"${MEMFUSE_OPTIONS:-}"

say() { printf 'scratch.sh: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# A mount by root has file data as fast as on tmpfs. An ordinary user can mount as well.
root=()
is_root=true
if [[ $(id -u) -ne 0 ]]; then
  if [[ ${MEMFUSE_SUDO:-} != no ]] && sudo -n true 2>/dev/null; then
    root=(sudo -n)
  else
    is_root=false
  fi
fi

# as_root COMMAND...
as_root() {
  $is_root || fail "root is needed, and sudo asks for a password, for: $*"
  "${root[@]}" "$@"
}

install_package() {
  if command -v memfuse >/dev/null; then return 0; fi
  [[ -n $package ]] || fail "memfuse is not installed, and MEMFUSE_PACKAGE does not say what to install"
  local file=$package directory
  directory=$(mktemp -d)
  # apt reads packages as a separate user.
  chmod 0755 "$directory"
  if [[ $package == *://* ]]; then
    file=$directory/memfuse.deb
    if command -v curl >/dev/null; then
      curl --fail --silent --show-error --location --retry 3 --output "$file" "$package"
    else
      wget --quiet --tries=3 --output-document="$file" "$package"
    fi
  fi
  [[ -f $file ]] || fail "$package is no file"
  # A machine that has just started may be running its daily updates.
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-install-recommends
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
  # A fresh image has no package lists, so the dependencies are unknown before the first update.
  as_root "${get[@]}" install "$(readlink -f "$file")" ||
    { as_root "${get[@]}" update && as_root "${get[@]}" install "$(readlink -f "$file")"; }
  rm -rf "$directory"
}

# Prints the type of the file system that is mounted exactly at the path, or an empty line. This must
# not access the mount, which may be stale.
type_of_mount() {
  # The kernel writes blanks as \040.
  MEMFUSE_DIRECTORY=$1 awk '
    { name = $5; gsub(/\\040/, " ", name) }
    name == ENVIRON["MEMFUSE_DIRECTORY"] { for (i = 7; $i != "-"; ++i); type = $(i + 1) }
    END { print type }' /proc/self/mountinfo
}

# Whether the daemon is gone. The kernel aborts requests to a daemon that is ending, and requests
# through one of several descriptors; these are repeated.
is_dead() {
  local answer
  for _ in {1..20}; do
    answer=$(LC_ALL=C stat --file-system -- "$1" 2>&1) || true
    case $answer in
    *'endpoint is not connected'*) return 0 ;;
    *'caused connection abort'* | *'Operation canceled'*) sleep 0.1 ;;
    *) return 1 ;;
    esac
  done
  return 1
}

detach() {
  if $is_root; then
    as_root umount -l -- "$1"
  else
    fusermount3 -uz -- "$1"
  fi
}

prepare_device() {
  if [[ ! -c /dev/fuse ]] && $is_root; then as_root modprobe fuse 2>/dev/null || true; fi
  [[ -c /dev/fuse ]] || fail "there is no /dev/fuse; a container is given it by" \
    "'--device /dev/fuse --cap-add SYS_ADMIN'"
  if ! $is_root && [[ ! -w /dev/fuse ]]; then
    fail "/dev/fuse is not open to $(id -un); 'chmod 0666 /dev/fuse' on the host opens it"
  fi
}

mount_scratch() {
  install_package
  if [[ -n $(type_of_mount "$path") ]] && is_dead "$path"; then
    say "taking away what a killed daemon left at $path"
    detach "$path"
  fi
  if [[ $(type_of_mount "$path") == fuse* ]]; then
    say "$path is mounted already"
  else
    prepare_device
    if ! mkdir -p -- "$path" 2>/dev/null; then as_root mkdir -p -- "$path"; fi
    local flags=(--size="$size")
    local command=(memfuse)
    if $is_root; then
      command=("${root[@]}" memfuse)
      flags+=(--uid="$(id -u)" --gid="$(id -g)")
    fi
    "${command[@]}" "${flags[@]}" "${options[@]}" -- "$path"
  fi
  df -h -- "$path"
  # The following steps of a GitHub job read it from there.
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then echo "path=$path" >>"$GITHUB_OUTPUT"; fi
}

unmount_scratch() {
  if [[ $(type_of_mount "$path") != fuse* ]]; then
    say "$path is not mounted"
  elif is_dead "$path"; then
    detach "$path"
  elif $is_root; then
    # Processes that the job left running may still use it.
    as_root umount -- "$path" 2>/dev/null || detach "$path"
  else
    fusermount3 -u -- "$path" 2>/dev/null || detach "$path"
  fi
}

[[ $path == /* ]] || fail "MEMFUSE_PATH must be an absolute path, not '$path'"
# The form in which the kernel shows it.
path=$(realpath --canonicalize-missing -- "$path")
case ${1:-} in
  mount) mount_scratch ;;
  unmount) unmount_scratch ;;
  *) fail "'${1:-}' is neither mount nor unmount" ;;
esac
