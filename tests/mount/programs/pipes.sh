#!/bin/bash
# Ten mounts of one user with large writes leave pipe buffers to the user's other programs.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3

# The limits of the user; for a root without privileges, those of user ID 0.
look=()
if [[ $MODE == root ]]; then look=(setpriv --bounding-set=-all --inh-caps=-all --reset-env); fi
pipe_size() {
  "${look[@]}" python3 -c 'import fcntl, os; print(fcntl.fcntl(os.pipe()[0], 1032))'
}
pipes_of() { find "/proc/$1/fd" -lname 'pipe:*' | wc -l; }

before=$(pipe_size)
daemons=()
pipes=()
for n in 1 2 3 4 5 6 7 8 9 10; do
  mkdir "$MOUNT/$n"
  start_memfuse "$MOUNT/$n" --size=64m --threads=8 --transport=dev --data=daemon
  daemons+=("$DAEMON")
  pipes+=("$(pipes_of "$DAEMON")")
done
for n in 1 2 3 4 5 6 7 8 9 10; do
  for file in 1 2 3 4 5 6 7 8; do
    dd if=/dev/zero of="$MOUNT/$n/$file" bs=1M count=6 status=none &
    writers[file]=$!
  done
  wait "${writers[@]}"
done
after=$(pipe_size)
((after >= before)) || fail "a new pipe holds $after bytes, and $before before the mounts"

# The daemon uses pipes for large writes, and closes them afterwards.
has_no_pipe() { (($(pipes_of "${daemons[$1]}") <= pipes[$1])); }
for i in "${!daemons[@]}"; do
  wait_until 20 has_no_pipe "$i" || fail "$(pipes_of "${daemons[i]}") pipes, before ${pipes[i]}"
done
for n in 1 2 3 4 5 6 7 8 9 10; do
  DAEMON=${daemons[n - 1]}
  stop_memfuse "$MOUNT/$n"
  rmdir "$MOUNT/$n"
done
