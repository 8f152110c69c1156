#!/usr/bin/env bash
# Runs memfuse's packages and tests on the kernels that Debian packages, each in a virtual machine:
#
#   run.sh [FLAG...] [KERNEL...]
#
#   KERNEL           6.1 (Debian 12) or 6.12 (Debian 13); default: both
#   --packages=DIR   what packaging/build.sh made; default: build/packages
#   --programs=DIR   where the test programs are; default: build/release/tests
#   --work=DIR       kept between runs: the kernels, the root directory, the logs;
#                    default: build/kernels
#   --accel=KIND     kvm; tcg: emulation, where there is no /dev/kvm; auto (default): kvm, and tcg
#                    where a machine with kvm does not start, or hangs
#   --parts=LIST     only these parts of guest_tests.sh, such as install,mounts
#   --filter=CASES   only these conformance cases (--gtest_filter)
#   --seconds=N      how long one machine may take; default: 3600
#
# Needs root (debootstrap, and files of the image that belong to root) and a Debian mirror; installs
# what is missing of debootstrap, e2fsprogs and QEMU. The exit status is 0 only if every part passed on
# every kernel.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
readonly here
# shellcheck source=packaging/deps.sh
. "$here/../../packaging/deps.sh"
# shellcheck source=tests/kernels/image.sh
. "$here/image.sh"
# shellcheck source=tests/kernels/machine.sh
. "$here/machine.sh"

fail() {
  say "FAILED: $*"
  exit 1
}

# shellcheck disable=SC2154  # `root` is deps.sh's
packages=$root/build/packages programs=$root/build/release/tests work=$root/build/kernels
accel=auto parts='' filter='*' seconds=3600
kernels=()
for argument in "$@"; do
  case $argument in
    --packages=*) packages=${argument#*=} ;;
    --programs=*) programs=${argument#*=} ;;
    --work=*) work=${argument#*=} ;;
    --accel=*) accel=${argument#*=} ;;
    --parts=*) parts=${argument#*=} ;;
    --filter=*) filter=${argument#*=} ;;
    --seconds=*) seconds=${argument#*=} ;;
    6.1 | 6.12) kernels+=("$argument") ;;
    *) fail "unknown argument $argument; see the head of $0" ;;
  esac
done
[[ ${#kernels[@]} -gt 0 ]] || kernels=(6.1 6.12)
[[ $accel == auto || $accel == kvm || $accel == tcg ]] || fail "unknown --accel=$accel"
[[ $(id -u) -eq 0 ]] || fail "has to be run by root"
[[ $(dpkg --print-architecture) == amd64 ]] || fail "is for amd64 only"

install_missing cpio debootstrap e2fsprogs kmod qemu-system-x86 xz-utils
deb=$(find "$packages" -name 'memfuse_*_amd64.deb')
[[ -f $deb ]] || fail "there is not one memfuse_*_amd64.deb in $packages; packaging/build.sh makes it"
for program in conformance/conformance_test stress/stress_tree stress/differential/differential; do
  [[ -x $programs/$program ]] || fail "$programs/$program is missing: build the preset 'release'"
done
mkdir -p "$work"
work=$(readlink -f "$work")

prepare_base
failed=()
for kernel in "${kernels[@]}"; do
  prepare_kernel "$kernel"
  prepare_image "$kernel"
  run_kernel "$kernel" || failed+=("$kernel")
done
[[ ${#failed[@]} -eq 0 ]] || fail "on ${failed[*]}; the logs are in $work/KERNEL/logs"
say "passed on ${kernels[*]}"
