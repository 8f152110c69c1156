#!/bin/bash
# control_completion_bash.sh FILE: tests the completion of memfusectl for bash, through its function
# and in a real shell on a terminal.
set -euo pipefail

# shellcheck source=tests/cli/completion_checks.sh
source "$(dirname "$(readlink -f "$0")")/completion_checks.sh"

file=$(readlink -f "$1")
status=0
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/alpha" "$directory/beta dir"
touch "$directory/file"
cat >"$directory/table" <<'TABLE'
memfuse /mnt/scratch fuse.memfuse rw 0 0
memfuse /mnt/with\040space fuse.memfuse rw 0 0
tmpfs /mnt/other tmpfs rw 0 0
TABLE
cd "$directory"

# shellcheck source=/dev/null
source "$file"
# The completion reads it instead of /proc/self/mounts.
# shellcheck disable=SC2034
_memfusectl_table=$directory/table
[[ $(complete -p memfusectl) == *"-F _memfusectl memfusectl" ]] || {
  echo "memfusectl has no completion" >&2
  exit 1
}

# answers LINE: prints the candidates with the cursor at the end of LINE, with a bar between them.
answers() {
  COMP_LINE=$1 COMP_POINT=${#1}
  COMPREPLY=()
  _memfusectl memfusectl
  local IFS='|'
  echo "${COMPREPLY[*]}"
}

expect 'memfusectl ' 'status|usage|top|limits|resize|unmount|list|doctor'
expect 'memfusectl li' 'limits|list'
expect 'memfusectl --v' '--version'
expect 'memfusectl status --' '--json'
expect 'memfusectl doctor --' '--json|--size=|--data=|--transport=|--allow_other'
expect 'memfusectl doctor /mnt/scratch --tr' '--transport='
expect 'memfusectl doctor --transport=' 'auto|dev|uring'
expect 'memfusectl usage --by=g' 'gid'
expect 'memfusectl usage --de' '--deleted'
expect 'memfusectl unmount --' ''
expect 'memfusectl list ' ''
expect 'memfusectl unmount /mnt/' '/mnt/scratch|/mnt/with space'
expect 'memfusectl unmount al' ''
expect 'memfusectl status /mnt/scr' '/mnt/scratch'
expect 'memfusectl status al' 'alpha'
expect 'memfusectl doctor fil' ''
expect 'memfusectl resize /mnt/scratch ' ''
expect 'memfusectl --json status /mnt/scr' '/mnt/scratch'
# For users that remove "=" from COMP_WORDBREAKS.
COMP_WORDBREAKS=$' \t\n'
expect 'memfusectl usage --by=g' '--by=gid'

# Types the tab key in a shell that reads it from a terminal.
typed=$(
  printf 'source %q; cd %q; _memfusectl_table=table\nmemfusectl() { printf "<%%s>" "$@"; echo; }\n%b' \
    "$file" "$directory" 'memfusectl doc\t--tra\tur\t al\t\nmemfusectl unm\t/mnt/w\t\nexit\n' |
    HOME=$directory timeout 120 script -qec 'bash --norc --noprofile -i' /dev/null 2>&1
)
expect_shown "$typed" '<doctor><--transport=uring><alpha/>' '<unmount></mnt/with space>'
exit "$status"
