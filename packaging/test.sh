#!/usr/bin/env bash
# Installs missing dependencies, builds memfuse in every configuration that is checked, makes the
# packages, and runs every test:
#
#   packaging/test.sh
#
# For a fresh Debian or Ubuntu machine with /dev/fuse. The last output lists the duration of each
# step and what failed. The exit status is 0 only if all steps succeeded. Before a release,
# tests/kernels/run.sh runs the packages and tests made here on other kernels.
#
#   CTEST_ARGS="-R rename"   more arguments for each ctest, split at blanks
#   CTEST_JOBS=4             tests on mounts at a time (default 3)
set -euo pipefail

# shellcheck source=packaging/deps.sh
. "$(dirname "$(readlink -f "$0")")/deps.sh"

read -r -a ctest_args <<<"${CTEST_ARGS:-}"
# With a selection, a step may have no tests left. Without one, a step without tests is an error.
no_tests=error
if [[ ${#ctest_args[@]} -gt 0 ]]; then no_tests=ignore; fi
failed=()
failed_tests=()
durations=()

# step NAME COMMAND...: continues after a failure, so that one run shows all failures.
step() {
  local name=$1 started=$SECONDS
  shift
  say "== $name"
  "$@" || failed+=("$name")
  durations+=("$(printf '%5.1f min  %s' "$(((SECONDS - started) / 6))e-1" "$name")")
}

# summary: prints what each step took and which tests failed. Its status is that of the whole run.
summary() {
  echo "duration of each step:"
  printf '  %s\n' "${durations[@]}"
  if [[ ${#failed[@]} -eq 0 ]]; then return 0; fi
  echo "these steps failed:"
  printf '  %s\n' "${failed[@]}"
  if [[ ${#failed_tests[@]} -gt 0 ]]; then
    echo "these tests failed:"
    printf '  %s\n' "${failed_tests[@]}"
  fi
  return 1
}

# Only root can mount, and hide devices from the program.
privileged=()
if [[ $(id -u) -ne 0 ]]; then privileged=(as_root); fi

# run_tests PRESET JOBS [ctest arguments...]
run_tests() {
  local preset=$1 jobs=$2 name log=$root/build/$1/Testing/Temporary/LastTestsFailed.log
  shift 2
  "${privileged[@]}" rm -f "$log"
  if "${privileged[@]}" "${wrapper[@]}" ctest --test-dir "$root/build/$preset" \
    --output-on-failure --no-tests=$no_tests --parallel "$jobs" "$@" "${ctest_args[@]}"; then
    return 0
  fi
  if [[ -r $log ]]; then
    while IFS=: read -r _ name; do failed_tests+=("$preset: $name"); done <"$log"
  fi
  return 1
}

# run_in_process PRESET [ctest arguments...]: runs tests that do not mount, in parallel.
run_in_process() {
  local preset=$1
  shift
  run_tests "$preset" "$(nproc)" --label-exclude mount "$@"
}

# run_mounting PRESET LABEL: runs tests that mount. Those of FUSE over io_uring run apart from the
# others, because they change a switch of the whole machine, and a mount that is made meanwhile would
# use io_uring, too.
run_mounting() {
  local preset=$1 label=$2 status=0
  run_tests "$preset" "${CTEST_JOBS:-3}" --label-regex "$label" --label-exclude uring || status=1
  if [[ -w /sys/module/fuse/parameters/enable_uring ]]; then
    run_tests "$preset" "${CTEST_JOBS:-3}" --label-regex "$label" --label-regex uring || status=1
  fi
  return $status
}

# Tests two versions of the packages in a root directory without memfuse.
test_packages_installed() {
  PACKAGES=deb VERSION=$(next_version) "$root/packaging/build.sh" "$root/build/packages-next" &&
    "${privileged[@]}" "$root/tests/packaging/install_test.sh" "$root/build/packages" \
      "$root/build/packages-next"/memfuse_*.deb "$root/build/release/tests/conformance/conformance_test"
}

next_version() {
  echo "$(dpkg-deb --field "$root"/build/packages/memfuse_*.deb Version)+next"
}

make_packages() {
  rm -rf "$root"/build/packages{,-next}
  "$root/packaging/build.sh"
}

install_missing "${build_packages[@]}" "${test_packages[@]}" "${package_packages[@]}" \
  "${install_test_packages[@]}"

if [[ ! -c /dev/fuse ]]; then
  say "there is no /dev/fuse, and the mount tests need it: 'modprobe fuse', or start the container" \
    "with '--device /dev/fuse --cap-add SYS_ADMIN'"
  exit 1
fi
# Without udev only root can open it, and the tests mount as an ordinary user as well.
if [[ $(stat --format=%a /dev/fuse) != 666 ]]; then as_root chmod 0666 /dev/fuse; fi

step "format, scripts" "$root/packaging/lint.sh"
step "clang-tidy" build clang-tidy

# The tests in one process, and short stress tests, under the sanitizers. ThreadSanitizer's shadow
# memory has a fixed address, which a kernel with strong address randomisation may use otherwise.
if setarch --addr-no-randomize true 2>/dev/null; then wrapper=(setarch --addr-no-randomize); fi
for preset in asan-ubsan tsan; do
  step "$preset: build" build "$preset" in_process_tests stress_programs
  # ctest lists the tests of targets that were not built as not built.
  step "$preset: tests in one process" run_in_process "$preset" --exclude-regex NOT_BUILT
  step "$preset: stress" run_mounting "$preset" stress
done

# Each fuzzer runs for 60 seconds, all at the same time.
step "fuzz: build" build fuzz fuzzers
step "fuzz: tests" run_tests fuzz 6 --label-regex fuzz
wrapper=()

step "release: build" build release
step "packages: build" make_packages
if [[ ${#ctest_args[@]} -eq 0 ]]; then
  step "packages: installation" test_packages_installed
fi
step "release: tests in one process" run_in_process release
step "release: tests on mounts" run_mounting release mount
summary
