#!/bin/bash
# completion_bash.sh FILE: tests the completion for bash, through its function and in a real shell
# on a terminal.
set -euo pipefail

# shellcheck source=tests/cli/completion_checks.sh
source "$(dirname "$(readlink -f "$0")")/completion_checks.sh"

file=$(readlink -f "$1")
status=0
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/alpha" "$directory/beta dir"
touch "$directory/file"
cd "$directory"

# shellcheck source=/dev/null
source "$file"
[[ $(complete -p memfuse) == *"-F _memfuse memfuse" ]] || {
  echo "memfuse has no completion" >&2
  exit 1
}

# answers LINE: prints in one line the candidates with the cursor at the end of LINE. LINE is split
# into words as bash does.
answers() {
  local text
  COMP_LINE=$1 COMP_POINT=${#1}
  text=${1//=/ = }
  read -r -a COMP_WORDS <<<"$text"
  if [[ $1 == *[[:space:]] ]]; then COMP_WORDS+=(''); fi
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _memfuse memfuse "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  echo "${COMPREPLY[*]}"
}

expect 'memfuse --si' '--size='
expect 'memfuse /mnt --no' '--noswap --noxattr --nocontrol'
expect 'memfuse --data=' 'auto passthrough daemon null'
expect 'memfuse --data=d' 'daemon'
expect 'memfuse --data p' 'passthrough'
expect 'memfuse --huge=w' 'within_size'
expect 'memfuse --transport=' 'auto dev uring'
expect 'memfuse --uid=roo' 'root'
expect 'memfuse --log_dir=al' 'alpha'
expect 'memfuse --size=' ''
expect 'memfuse --nothing=' ''
expect 'memfuse --load' ''
expect 'memfuse al' 'alpha'
expect 'memfuse --size=1g al' 'alpha'
expect 'memfuse fil' ''
expect 'memfuse -o thr' 'threads='
expect 'memfuse -o si' 'size='
expect 'memfuse -o size=4g,thr' '4g,threads='
expect 'memfuse -o size=4g,nos' '4g,noswap 4g,nosuid 4g,nosymfollow'
expect 'memfuse -o nosuid,nod' 'nosuid,nodev nosuid,nodiratime'
expect 'memfuse -o ro,data=' 'auto passthrough daemon null'
expect 'memfuse -o data=da' 'daemon'
expect 'memfuse -onosuid,data=p' 'passthrough'
expect 'memfuse -othr' '-othreads='
expect 'memfuse -o fore' ''
# For users that remove "=" from COMP_WORDBREAKS.
COMP_WORDBREAKS=$' \t\n'
expect 'memfuse -o size=4g,thr' 'size=4g,threads='
expect 'memfuse --data=d' '--data=daemon'

# Types the tab key in a shell that reads it from a terminal.
typed=$(
  printf 'source %q; cd %q\nmemfuse() { printf "<%%s>" "$@"; echo; }\n%b' "$file" "$directory" \
    'memfuse -o si\t4g,thr\t8 --tra\tur\t al\t\nexit\n' |
    HOME=$directory timeout 120 script -qec 'bash --norc --noprofile -i' /dev/null 2>&1
)
expect_shown "$typed" '<-o><size=4g,threads=8><--transport=uring><alpha/>'
exit "$status"
