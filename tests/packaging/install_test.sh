#!/usr/bin/env bash
# Installs the packages on systems without memfuse, and uses, upgrades and removes them:
#
#   install_test.sh PACKAGES NEXT_DEB CONFORMANCE_TEST [SUITE...]
#
#   PACKAGES          the directory that packaging/build.sh filled
#   NEXT_DEB          the .deb of a later version
#   CONFORMANCE_TEST  the program of tests/conformance
#   SUITE             suites for debootstrap; default: this machine's own release
#
# For releases that the machine's debootstrap does not know: DEBOOTSTRAP_OPTIONS ("--keyring=FILE
# --components=main,universe") and DEBOOTSTRAP_SOURCE ("MIRROR SCRIPT").
#
# Needs root, /dev/fuse and a Debian or Ubuntu mirror. Everything runs in its own mount and PID
# namespace, which end all daemons and mounts.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
readonly here
if [[ ${IN_NAMESPACE:-} != "$$" ]]; then
  # The inner shell is process 1 of its namespace. A signal that kills this shell ends all its
  # processes.
  exec env IN_NAMESPACE=1 timeout --kill-after=3 "${INSTALL_TEST_SECONDS:-3600}" \
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    bash "$here/install_test.sh" "$@"
fi

# shellcheck source=tests/packaging/common.sh
. "$here/common.sh"

packages=$(readlink -f "$1") next_deb=$(readlink -f "$2") conformance=$(readlink -f "$3")
readonly packages next_deb conformance
shift 3
suites=("$@")
if [[ ${#suites[@]} -eq 0 ]]; then
  # shellcheck source=/dev/null
  suites=("$(. /etc/os-release && echo "$VERSION_CODENAME")")
fi
# Not beside the packages but below the build directory, whose file system allows devices.
work=$packages/../install-test
mkdir -p "$work"
work=$(readlink -f "$work")
readonly work

# shellcheck source=tests/packaging/deb.sh
. "$here/deb.sh"
# shellcheck source=tests/packaging/rpm.sh
. "$here/rpm.sh"

check_policy
check_rpm
for suite in "${suites[@]}"; do
  check_deb "$suite"
done
say "passed"
