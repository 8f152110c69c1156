#!/bin/bash
# completion_zsh.sh FILE: zsh takes the completion, and a shell on a terminal completes with it.
set -euo pipefail

file=$(readlink -f "$1")
zsh -n "$file"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/functions" "$directory/alpha" "$directory/beta"
cp "$file" "$directory/functions/_memfuse"

cat >"$directory/complete.zsh" <<'SCRIPT'
zmodload zsh/zpty
zpty -b shell zsh -f -i
# tell TEXT: types it, waits until the shell is quiet, and keeps what it shows in $shown.
tell() {
  local part quiet=0
  shown=
  zpty -n -w shell "$1"
  while (( quiet < 10 )); do
    if zpty -r -t shell part; then shown+=$part quiet=0; else sleep 0.05; (( ++quiet )); fi
  done
}
tell "fpath=($1/functions \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt prompt_sp
"
tell "bindkey '^I' complete-word; memfuse() { print -r -- \"<\${(j:><:)@}>\"; }; cd $1; PS1='%% '
"
while (( $# > 1 )); do
  tell "$2"
  tell "
"
  print -r -- "$shown"
  shift
done
zpty -d shell
SCRIPT
# One more tab than needed would list what there is.
shown=$(TERM=dumb HOME=$directory timeout 50 zsh -f "$directory/complete.zsh" "$directory" \
  $'memfuse --transport=ur\t -o nosy\t,data=pass\t al\t' $'memfuse --noxa\t --huge=wi\t be\t')

status=0
for expected in '<--transport=uring><-o><nosymfollow,data=passthrough><alpha>' \
  '<--noxattr><--huge=within_size><beta>'; do
  if [[ $shown != *"$expected"* ]]; then
    echo "expected $expected; shown: $shown" >&2
    status=1
  fi
done
exit "$status"
