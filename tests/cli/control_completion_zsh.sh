#!/bin/bash
# control_completion_zsh.sh FILE: loads the completion of memfusectl in zsh, and tests that a shell
# on a terminal completes with it.
set -euo pipefail

file=$(readlink -f "$1")
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/cli/completion_checks.sh
source "$here/completion_checks.sh"
zsh -n "$file"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/functions" "$directory/alpha" "$directory/beta"
cp "$file" "$directory/functions/_memfusectl"
printf '%s\n' 'memfuse /mnt/scratch fuse.memfuse rw 0 0' \
  'memfuse /srv/with\040space fuse.memfuse rw 0 0' 'tmpfs /srv/other tmpfs rw 0 0' \
  >"$directory/table"

# The completion reads the table instead of /proc/self/mounts. One more tab than needed would list
# the files.
shown=$(_memfusectl_table=$directory/table TERM=dumb HOME=$directory \
  timeout 240 zsh -f "$here/complete.zsh" "$directory" memfusectl \
  $'memfusectl doc\t --tra\tur\t al\t' $'memfusectl unm\t /srv/wi\t' $'memfusectl usa\t --by=g\t be\t')

status=0
expect_shown "$shown" '<doctor><--transport=uring><alpha>' '<unmount></srv/with space>' \
  '<usage><--by=gid><beta>'
exit "$status"
