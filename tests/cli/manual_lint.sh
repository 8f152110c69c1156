#!/bin/bash
# manual_lint.sh PAGE...: checks that mandoc (with style messages) and man report nothing for the
# manual pages.
set -euo pipefail

status=0
for page in "$@"; do
  # Ignores references to pages that are not installed or not indexed on this machine.
  messages=$(mandoc -T lint -W style "$page" 2>&1 |
    grep -vE 'referenced manual not found|outdated mandoc\.db' || true)
  messages+=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
  if [[ -n $messages ]]; then
    echo "$page: $messages" >&2
    status=1
  fi
done
exit "$status"
