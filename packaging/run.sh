#!/usr/bin/env bash
# Installs missing dependencies, builds memfuse, and mounts it:
#
#   packaging/run.sh MOUNTPOINT [flags]
#
# For a fresh Debian or Ubuntu machine. The flags are those of memfuse (--threads=8, --size=4g, ...).
# If the packages are installed already, no root is needed.
set -euo pipefail

# shellcheck source=packaging/deps.sh
. "$(dirname "$(readlink -f "$0")")/deps.sh"

if [[ $# -eq 0 || $1 == -* ]]; then
  say "usage: packaging/run.sh MOUNTPOINT [flags]"
  exit 1
fi
mount_point=$1

# This accesses the file system itself, so a stale mount does not count: memfuse reports it as an
# error.
if [[ $(timeout 10 stat --file-system --format=%T "$mount_point" 2>/dev/null) == fuse* ]] &&
  findmnt --types fuse.memfuse --mountpoint "$mount_point" >/dev/null; then
  say "$mount_point is a memfuse mount already; 'umount $mount_point' takes it away"
  exit 0
fi

install_missing "${build_packages[@]}"
build release memfuse >&2
if [[ ! -e $mount_point ]]; then
  mkdir -p -- "$mount_point"
fi
exec "$root/build/release/src/cli/memfuse" "$@"
