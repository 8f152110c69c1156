#!/usr/bin/env bash
# lint.sh: checks the format of C++ (clang-format), shell scripts (shellcheck) and Python (flake8).
# clang-tidy is a configuration of its own: `cmake --preset clang-tidy`.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit
status=0

# The format differs between versions of clang-format. That of Debian 12 counts.
format=clang-format
if command -v clang-format-14 >/dev/null; then format=clang-format-14; fi
if [[ $($format --version) == *"version 14."* ]]; then
  git ls-files -z -- '*.cc' '*.h' | xargs -0 "$format" --dry-run -Werror || status=1
else
  echo "lint.sh: the format is not checked, because $($format --version) is not version 14" >&2
fi
git ls-files -z -- '*.sh' .ci/run | xargs -0 shellcheck --external-sources || status=1
git ls-files -z -- '*.py' | xargs -0 flake8 --max-line-length=100 || status=1
exit "$status"
