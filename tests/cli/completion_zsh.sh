#!/bin/bash
# completion_zsh.sh FILE: loads the completion in zsh, and tests that a shell on a terminal
# completes with it.
set -euo pipefail

file=$(readlink -f "$1")
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/cli/completion_checks.sh
source "$here/completion_checks.sh"
zsh -n "$file"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/functions" "$directory/alpha" "$directory/beta"
cp "$file" "$directory/functions/_memfuse"

# One more tab than needed would list the files.
shown=$(TERM=dumb HOME=$directory timeout 240 zsh -f "$here/complete.zsh" "$directory" memfuse \
  $'memfuse --transport=ur\t -o nosy\t,data=pass\t al\t' $'memfuse --noxa\t --huge=wi\t be\t')

status=0
expect_shown "$shown" '<--transport=uring><-o><nosymfollow,data=passthrough><alpha>' \
  '<--noxattr><--huge=within_size><beta>'
exit "$status"
