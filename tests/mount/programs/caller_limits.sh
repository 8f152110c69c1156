#!/bin/bash
# Resource limits and other settings that the daemon inherits from the shell, and that must not
# affect it.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need python3 prlimit awk

# In the background, without a parent that waits for it.
mount_under() {
  # shellcheck disable=SC2016 # the inner shell expands it
  bash -c "$1"' && exec "$MEMFUSE" "$@"' bash "$MOUNT" --size=64m "${@:2}" 2>"$WORK/said" ||
    fail "$1: $(<"$WORK/said")"
  DAEMON=$(pgrep -n -f "^$MEMFUSE $MOUNT ")
}
end() {
  unmount "$MOUNT"
  wait_until 30 is_gone "$DAEMON" || fail "the daemon did not end"
}
export MEMFUSE

# CPU time: the daemon raises the inherited soft limit of one second.
mount_under 'ulimit -S -t 1' --threads=2 --transport=dev
[[ ! -s $WORK/said ]] || fail "a soft limit is worth no word: $(<"$WORK/said")"
echo kept >"$MOUNT/kept"
python3 - "$MOUNT" "$DAEMON" <<'PYTHON' || fail "the daemon did not survive its limit of CPU time"
import os, sys
top, daemon = sys.argv[1:]
def seconds():
    with open(f"/proc/{daemon}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
while seconds() < 2:
    for i in range(1000):
        os.close(os.open(f"{top}/{i}", os.O_CREAT | os.O_WRONLY))
        os.unlink(f"{top}/{i}")
PYTHON
[[ $(<"$MOUNT/kept") == kept ]] || fail "CPU time: the files are lost"
end

# A hard limit that the daemon cannot raise is reported in one line.
mount_under 'ulimit -t 1000'
if [[ $MODE == user ]]; then
  grep -q '^memfuse: warning: a hard limit on CPU time stays .* 1000 seconds' "$WORK/said" ||
    fail "a hard limit: $(<"$WORK/said")"
  [[ $(wc -l <"$WORK/said") == 1 ]] || fail "not one line: $(<"$WORK/said")"
fi
end

# The file size limit, while all data is in one memory file of the daemon; small stacks; few open
# files.
for limit in '-S -f 1' '-S -s 64' '-S -n 32' '-S -i 0' '-c 0' '-S -l 0'; do
  mount_under "ulimit $limit" --data=daemon
  dd if=/dev/zero of="$MOUNT/file" bs=1M count=8 status=none || fail "ulimit $limit: write"
  mkdir "$MOUNT/a"
  ln "$MOUNT/file" "$MOUNT/a/b"
  [[ $(wc -c <"$MOUNT/a/b") == $((8 << 20)) ]] || fail "ulimit $limit"
  end
done

# Pending, ignored or blocked signals are reset, and the mount is busy. The daemon must still exit
# on SIGTERM.
mount_under 'prlimit --pid $$ --sigpending=0:0' --threads=4 --transport=dev
(cd "$MOUNT" && exec sleep infinity) &
user=$!
is_inside() { [[ $(readlink "/proc/$user/cwd") == "$MOUNT" ]]; }
wait_until 60 is_inside
kill -TERM "$DAEMON"
wait_until 30 is_gone "$DAEMON" || fail "the daemon does not end where no signal may be pending"
kill "$user"
wait "$user" || true
mount_under 'trap "" TERM INT HUP PIPE CHLD USR1'
kill -TERM "$DAEMON"
wait_until 30 is_gone "$DAEMON" || fail "the daemon does not end where SIGTERM is ignored"

# The nice value and the scheduling policy, where a reset needs no privilege.
mount_under 'true'
[[ $(awk '{ print $19 }' "/proc/$DAEMON/stat") == 0 ]] || fail "not of ordinary priority"
end
if [[ $MODE == root ]]; then
  mount_under 'renice -n 19 $$ >/dev/null && chrt -p -i 0 $$'
  [[ $(awk '{ print $19, $41 }' "/proc/$DAEMON/stat") == "0 0" ]] ||
    fail "nice and policy are $(awk '{ print $19, $41 }' "/proc/$DAEMON/stat")"
  end
fi

# The daemon resets its OOM score to that of the session, as far as it may lower the score.
# shellcheck disable=SC2016 # the inner shell expands it
mount_under 'echo $(($(cat /proc/$$/oom_score_adj) + 300)) >/proc/$$/oom_score_adj'
score=$(<"/proc/$DAEMON/oom_score_adj")
((score <= $(</proc/$$/oom_score_adj) + 49 && score > -1000)) || fail "the score is $score"
end
