#!/usr/bin/env bash
# Installs missing dependencies, and makes the packages:
#
#   packaging/build.sh [OUTPUT_DIR]      default: build/packages
#
# The same commit gives the same bytes with the same versions of compiler and libraries.
#
#   PACKAGES="deb rpm"   the kinds of package to make
#   VERSION=1.2.3        a version instead of the project's
set -euo pipefail

# shellcheck source=packaging/deps.sh
. "$(dirname "$(readlink -f "$0")")/deps.sh"

read -r -a kinds <<<"${PACKAGES:-deb rpm}"
mkdir -p -- "${1:-$root/build/packages}"
output=$(readlink -f -- "${1:-$root/build/packages}")

install_missing "${build_packages[@]}" "${package_packages[@]}"

# The time of a checkout is that of its commit. The time of sources without git is that of the
# changelog.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null) ||
    SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$root/packaging/debian/changelog" -S Timestamp)
fi
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
# The archives contain the modes of the files that they are made from.
umask 022
# With this variable the compiler would get, and record, other paths of the sources.
unset CCACHE_BASEDIR

# The paths of the packages. Their names contain version and architecture.
made=()
for kind in "${kinds[@]}"; do
  directory=$root/build/package-$kind
  configure "package-$kind" "-DMEMFUSE_VERSION_OVERRIDE=${VERSION:-}" >&2
  build "package-$kind" >&2
  rm -rf "$directory/packages"
  log=$directory/cpack.log
  (cd "$directory" && cpack -B packages) >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
  }
  for package in "$directory"/packages/*."$kind"; do
    cp -- "$package" "$output/"
    made+=("$output/$(basename "$package")")
  done
done
for package in "${made[@]}"; do
  printf '%9d bytes  %s\n' "$(stat --format=%s "$package")" "$package"
done
