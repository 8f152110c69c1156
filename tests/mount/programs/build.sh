#!/bin/bash
# Builds memfuse on a mount of memfuse, with the compiler cache on the mount, too.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need cmake ninja ccache c++

start_memfuse "$MOUNT" --size=6g --threads=4
export CCACHE_DIR=$MOUNT/ccache TMPDIR=$MOUNT/tmp
# Without these settings ccache does not cache compilations with a precompiled header.
export CCACHE_SLOPPINESS=pch_defines,time_macros
mkdir "$TMPDIR"
cp -a "$SOURCE" "$MOUNT/source"

configure() {
  cmake -S "$MOUNT/source" -B "$MOUNT/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_CXX_COMPILER_LAUNCHER=ccache >"$WORK/configure.log" 2>&1 ||
    fail "cannot configure: $(tail -n 30 "$WORK/configure.log")"
}
build() {
  ninja -C "$MOUNT/build" "$@" >"$WORK/build.log" 2>&1 ||
    fail "cannot build: $(tail -n 60 "$WORK/build.log")"
}
has_target() { ninja -C "$MOUNT/build" -t query "$1" >/dev/null 2>&1; }
statistic() { ccache --print-stats | awk -v key="$1" '$1 == key { print $2 }'; }

configure
targets=(memfuse_protocol)
programs=()
if [[ $MODE == root ]]; then
  for target in base_test protocol_test; do
    if has_target "$target"; then programs+=("$target"); fi
  done
  targets=("${programs[@]}")
fi
build "${targets[@]}"
for program in "${programs[@]}"; do
  found=$(find "$MOUNT/build" -name "$program" -type f -perm -u+x)
  "$found" --gtest_brief=1 || fail "$program fails on the mount"
done
build "${targets[@]}"
grep -q 'no work to do' "$WORK/build.log" ||
  fail "what was just built is out of date: $(<"$WORK/build.log")"

# Builds again: every object comes from the cache and is identical.
objects() { (cd "$MOUNT/build" && find . -name '*.o' -exec sha256sum {} + | sort -k 2); }
first=$(objects)
misses=$(statistic cache_miss)
rm -rf "$MOUNT/build"
configure
build "${targets[@]}"
[[ $(objects) == "$first" ]] || fail "the second build is another"
[[ $(statistic cache_miss) == "$misses" ]] || fail "the cache has forgotten something"
stop_memfuse "$MOUNT"
