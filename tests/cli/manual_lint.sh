#!/bin/bash
# manual_lint.sh PAGE...: the manual pages are clean for mandoc, down to matters of style, and man.
set -euo pipefail

status=0
for page in "$@"; do
  # Which other pages are installed, and indexed, is not the page's fault.
  complaints=$(mandoc -T lint -W style "$page" 2>&1 |
    grep -vE 'referenced manual not found|outdated mandoc\.db' || true)
  complaints+=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
  if [[ -n $complaints ]]; then
    echo "$page: $complaints" >&2
    status=1
  fi
done
exit "$status"
