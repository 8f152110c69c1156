# complete.zsh DIRECTORY PROGRAM LINE...: types the lines in a shell on a terminal that completes with
# DIRECTORY/functions, and prints what the shell shows. PROGRAM prints its arguments.
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
bindkey '^I' complete-word; $2() { print -r -- \"<\${(j:><:)@}>\"; }; cd $1; PS1='rea''dy> '
" '*ready> *'
shift 2
while (( $# > 0 )); do
  tell "$1
" '*<*>*ready> *'
  print -r -- "$shown"
  shift
done
zpty -d shell
