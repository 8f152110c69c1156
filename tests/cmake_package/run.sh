#!/usr/bin/env bash
# run.sh BUILD: installs the build directory below a directory of its own, builds the
# example with find_package(memfuse), and uses its mount. Needs root and /dev/fuse.
set -euo pipefail

build=$1
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d "${TMPDIR:-/tmp}/memfuse_cmake_package.XXXXXX")
example=
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  umount "$work/mount" 2>/dev/null || umount -l "$work/mount" 2>/dev/null || true
  [[ -z $example ]] || kill -KILL "$example" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT

DESTDIR=$work/root cmake --install "$build" --prefix /usr >"$work/log"
cmake -S "$here" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/root/usr" \
  >>"$work/log"
cmake --build "$work/build" >>"$work/log" || {
  cat "$work/log"
  exit 1
}

mkdir "$work/mount"
exec {output}< <(exec "$work/build/example" "$work/mount")
example=$!
read -r -t 60 -u "$output" line || { echo "the example does not mount" >&2; exit 1; }
[[ $line == "serving $work/mount" ]]
echo content >"$work/mount/file"
[[ $(<"$work/mount/file") == content ]]
umount "$work/mount"
wait "$example"
example=
