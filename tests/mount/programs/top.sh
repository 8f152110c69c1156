#!/bin/bash
# memfusectl top in a terminal of two sizes, and as text.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need script tmux

use_memfusectl
start_memfuse "$MOUNT" --size=64m --threads=2
mkdir "$MOUNT/busy"
# A directory that requests are made in until the case ends.
while :; do stat "$MOUNT/busy/absent" 2>"$WORK/ignored" || true; done &
load=$!
server=$WORK/tmux
clean_up_top() {
  kill "$load" 2>"$WORK/ignored" || true
  tmux -S "$server" kill-server 2>"$WORK/ignored" || true
}
trap clean_up_top EXIT

shown() {
  tmux -S "$server" capture-pane -p -t top >"$WORK/screen" 2>"$WORK/ignored" &&
    grep -qE "$1" "$WORK/screen"
}
expect() { wait_until 20 shown "$1" || fail "the screen does not show '$1': $(<"$WORK/screen")"; }
press() { tmux -S "$server" send-keys -t top "$1"; }

for size in 80x24 160x50; do
  env TERM=xterm SHELL=/bin/sh tmux -S "$server" -f /dev/null new-session -d -s top -x "${size%x*}" -y "${size#*x}" \
    "'$control' top '$MOUNT' --interval=0.2 2>'$WORK/said'"
  expect '^LOOKUP +[0-9.k]+ +[0-9.k]+ +[0-9.]+ [um]s '
  expect '^size +\[[#.]+\] +[0-9]+%  .* of 64\.0 MiB: data '
  expect '^operation +rate/s v +errors/s '
  expect '^requests (/dev/fuse|io_uring)'
  (($(wc -l <"$WORK/screen") == ${size#*x})) || fail "not $size: $(<"$WORK/screen")"
  grep -q '^q quit' <(tail -n 1 "$WORK/screen") || fail "no last line: $(<"$WORK/screen")"
  press d
  if [[ $MODE == root ]]; then expect '^/busy +[0-9]'; else expect '^(/busy +[0-9]|directory)'; fi
  press p
  expect '^memfusectl +[0-9]'
  press /
  press z
  press z
  press z
  press Enter
  expect "nothing contains 'zzz'"
  press Escape
  expect '^memfusectl +[0-9]'
  press u
  expect "^$(id -u) +[0-9]"
  press f
  expect '^there are no files|not yours to see'
  press q
  gone() { ! tmux -S "$server" has-session -t top 2>"$WORK/ignored"; }
  wait_until 20 gone || fail "q does not end it"
  [[ ! -s $WORK/said ]] || fail "$(<"$WORK/said")"
done

"$control" top "$MOUNT" --interval=0.5 >"$WORK/text" || fail "top as text"
grep -q '^LOOKUP ' "$WORK/text" || fail "$(<"$WORK/text")"
grep -q '^directory ' "$WORK/text" || fail "$(<"$WORK/text")"
if "$control" top "$MOUNT" --interval=0 2>"$WORK/said"; then fail "an interval of 0"; fi
grep -q "no number of seconds from 0.1" "$WORK/said" || fail "$(<"$WORK/said")"
if TERM=no-such-terminal script -qec "'$control' top '$MOUNT'" "$WORK/ignored" >"$WORK/said"; then
  fail "an unknown terminal"
fi
grep -q "terminal type 'no-such-terminal' is unknown" "$WORK/said" || fail "$(<"$WORK/said")"
clean_up_top
wait "$load" 2>"$WORK/ignored" || true
stop_memfuse "$MOUNT"
