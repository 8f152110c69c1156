#!/bin/bash
# completion_zsh.sh FILE: loads the completion in zsh, and tests that a shell on a terminal
# completes with it.
set -euo pipefail

file=$(readlink -f "$1")
zsh -n "$file"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/functions" "$directory/alpha" "$directory/beta"
cp "$file" "$directory/functions/_memfuse"

cat >"$directory/complete.zsh" <<'SCRIPT'
zmodload zsh/zpty zsh/zselect
zpty -b shell zsh -f -i
terminal=$REPLY # the descriptor of the terminal
# tell TEXT PATTERN: types TEXT, stores the shell's output in $shown, and waits until that matches
# PATTERN.
tell() {
  local part
  shown=
  zpty -n -w shell "$1"
  # At most 60 seconds for each piece of output. The status 2 tells that the shell has ended.
  while [[ $shown != $~2 ]] && zselect -t 6000 -r $terminal; do
    zpty -r -t shell part || { (( $? == 2 )) && return; continue }
    shown+=$part
  done
}
# PATTERN must not match the line that sets the prompt.
tell "fpath=($1/functions \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt prompt_sp
bindkey '^I' complete-word; memfuse() { print -r -- \"<\${(j:><:)@}>\"; }; cd $1; PS1='rea''dy> '
" '*ready> *'
while (( $# > 1 )); do
  tell "$2
" '*<*>*ready> *'
  print -r -- "$shown"
  shift
done
zpty -d shell
SCRIPT
# One more tab than needed would list the files.
shown=$(TERM=dumb HOME=$directory timeout 240 zsh -f "$directory/complete.zsh" "$directory" \
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
