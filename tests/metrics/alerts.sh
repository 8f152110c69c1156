#!/bin/bash
# alerts.sh RULES: checks the alert rules and runs alerts_test.yml on them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rules=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
promtool check rules "$rules"
sed "s#RULES#$rules#" "$here/alerts_test.yml" >"$work/test.yml"
promtool test rules "$work/test.yml"
