#!/bin/bash
# Every way in which a mount ends. No process may hang, no mount may stay, and no process may stay
# behind.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need dd sha256sum stat

clients=()

# Writes until it gets an error. The writer uses paths relative to its working directory, which
# stays valid on a detached mount.
write_until_it_fails() {
  cd "$MOUNT"
  while dd if=/dev/zero of="file$1" bs=64k count=200 status=none && rm "file$1"; do :; done 2>/dev/null
}

# Returns when each of the writers has written something.
start_writers() {
  local i
  clients=()
  for i in 1 2 3 4; do
    write_until_it_fails "$i" &
    clients+=("$!")
  done
  for i in 1 2 3 4; do
    wait_until 60 test -s "$MOUNT/file$i" || fail "the client $i does not write"
  done
}

expect_clients_end() {
  local pid
  for pid in "${clients[@]}"; do
    wait_until 20 is_gone "$pid" || fail "the client $pid hangs: $(cat "/proc/$pid/stat")"
    wait "$pid" || true # ended with any status
  done
  clients=()
}

lazy_unmount() {
  if [[ $MODE == root ]]; then
    timeout 20 umount -l "$MOUNT"
  else
    timeout 20 fusermount3 -uz "$MOUNT"
  fi
}

expect_unmounted() { wait_until 60 not_mounted "$MOUNT" || fail "still in the mount table"; }

expect_usable() {
  echo "hello $1" >"$MOUNT/hello"
  [[ $(<"$MOUNT/hello") == "hello $1" ]] || fail "not usable: $1"
  rm "$MOUNT/hello"
}

terminated_while_written_to() {
  local signal
  for signal in TERM INT; do
    start_memfuse "$MOUNT" --size=512m --threads=4
    start_writers
    kill "-$signal" "$DAEMON"
    expect_end 0
    expect_unmounted
    expect_clients_end
  done
}

unmounted_while_a_file_is_open() {
  start_memfuse "$MOUNT" --threads=2
  exec 9>"$MOUNT/open"
  if unmount "$MOUNT" 2>"$WORK/error_text"; then fail "a busy mount could be unmounted"; fi
  grep -qi busy "$WORK/error_text" || fail "not EBUSY: $(<"$WORK/error_text")"
  is_mounted "$MOUNT" || fail "unmounted although it was busy"
  echo data >&9
  exec 9>&-
  stop_memfuse "$MOUNT"
  expect_unmounted
}

detached_while_a_file_is_open() {
  start_memfuse "$MOUNT" --threads=2
  exec 9<>"$MOUNT/open"
  lazy_unmount
  expect_unmounted
  # A process with an open file can continue.
  echo data >&9
  [[ $(<"/proc/$$/fd/9") == data ]] || fail "a detached file cannot be read"
  if is_gone "$DAEMON"; then fail "the daemon left a file in use"; fi
  exec 9<&-
  expect_end 0
}

unmounted_by_the_helper() {
  start_memfuse "$MOUNT" --threads=2
  timeout 20 fusermount3 -u "$MOUNT"
  expect_end 0
  expect_unmounted
}

clients_killed() {
  local round pid
  start_memfuse "$MOUNT" --size=1g --threads=4
  mkdir "$MOUNT/tree"
  head -c 64M /dev/urandom >"$MOUNT/large"
  sum=$(sha256sum <"$MOUNT/large")
  for ((round = 0; round < 8; ++round)); do
    clients=()
    yes >"$MOUNT/written" 2>/dev/null &
    clients+=("$!")
    cp -r /usr/include/linux "$MOUNT/tree/$round" &
    clients+=("$!")
    dd if="$MOUNT/large" of="$MOUNT/copy" bs=1M status=none &
    clients+=("$!")
    dd if="$MOUNT/large" of="$MOUNT/direct" bs=1M oflag=direct status=none &
    clients+=("$!")
    sha256sum "$MOUNT/large" "$MOUNT/large" >/dev/null &
    clients+=("$!")
    find "$MOUNT" -ls >/dev/null 2>&1 &
    clients+=("$!")
    # The pause varies the moment of the kills. They are harmless at any moment.
    sleep "0.0$((round + 1))"
    for pid in "${clients[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    expect_clients_end
  done
  [[ $(sha256sum <"$MOUNT/large") == "$sum" ]] || fail "a file without writers has changed"
  expect_usable "after clients were killed"
  stop_memfuse "$MOUNT"
}

says_dead() {
  if timeout 20 ls "$MOUNT" 2>"$WORK/error_text"; then fail "a dead mount answers"; fi
  grep -q 'Transport endpoint is not connected' "$WORK/error_text"
}

daemon_killed() {
  start_memfuse "$MOUNT" --size=512m --threads=4
  start_writers
  kill -KILL "$DAEMON"
  wait_until 60 is_gone "$DAEMON" || fail "the daemon survives SIGKILL"
  wait "$DAEMON" || true
  expect_clients_end
  is_mounted "$MOUNT" || fail "the mount of a killed daemon is gone by itself"
  # io_uring releases the daemon late. Requests until then fail with other errors.
  wait_until 60 says_dead || fail "not ENOTCONN: $(<"$WORK/error_text")"
  lazy_unmount
  expect_unmounted
  start_memfuse "$MOUNT" --threads=2
  expect_usable "after a daemon was killed"
  stop_memfuse "$MOUNT"
}

up_and_down() {
  local i
  for ((i = 0; i < 20; ++i)); do
    start_memfuse "$MOUNT" --threads=$((i % 4 + 1))
    expect_usable "$i"
    stop_memfuse "$MOUNT"
    expect_unmounted
  done
}

for scenario in terminated_while_written_to unmounted_while_a_file_is_open \
  detached_while_a_file_is_open unmounted_by_the_helper clients_killed daemon_killed up_and_down; do
  echo "$scenario"
  $scenario
  [[ -z $(ls -A "$MOUNT") ]] || fail "$scenario: something is in the directory below the mount"
done
