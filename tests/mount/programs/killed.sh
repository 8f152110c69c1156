#!/bin/bash
# Programs that check their own data, on a mount with --resilient whose servers are killed. Settings:
#   KILLED_SECONDS   the time for each value of --data (default 10)
#   KILLED_EVERY     seconds between two kills (0.2)
#   KILLED_SIGNAL    the signal (KILL)
#   KILLED_THREADS   the value of --threads (8)
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need cc fio git make pgrep pkill python3 sqlite3

use_memfusectl
seconds=${KILLED_SECONDS:-10}

# Each of these functions is one round in a directory of its own. A failure ends the test.
# shellcheck disable=SC2317 # repeat calls them
round_fio() {
  fio --name=verify --directory="$1" --rw=randrw --bs=4k --size=16m --io_size=8m --ioengine=psync \
    --numjobs=2 --verify=crc32c --verify_fatal=1 --do_verify=1 --fallocate=none --minimal >/dev/null
  rm "$1"/verify*
}
# shellcheck disable=SC2317
round_compile() {
  cp "$WORK"/sources/* "$1/"
  make --silent -C "$1" -j 2
  "$1/program" | grep -qx 2016 || return 1
  (cd "$1" && sha256sum ./*.o) | cmp - "$WORK/objects"
  make --silent -C "$1" clean
}
# shellcheck disable=SC2317
round_sqlite() {
  python3 "$WORK/sqlite.py" "$1/database"
  sqlite3 "$1/database" 'pragma integrity_check' | grep -qx ok
  rm "$1"/database*
}
# shellcheck disable=SC2317
round_git() {
  local i
  git init --quiet "$1/repository"
  cd "$1/repository"
  for i in 1 2 3 4 5; do
    cp "$WORK"/sources/* .
    echo "$i" >number
    git add --all
    git -c user.name=name -c user.email=name@example.invalid commit --quiet --message "$i"
  done
  git gc --quiet --prune=now
  git fsck --strict --no-progress
  [[ $(git rev-list --count HEAD) == 5 && -z $(git status --porcelain) ]] || return 1
  cd /
  rm -rf "$1/repository"
}
# shellcheck disable=SC2317
round_names() { python3 "$WORK/names.py" "$1"; }

mkdir "$WORK/sources"
for ((i = 0; i < 64; ++i)); do
  printf '#include <stdio.h>\nint function_%d(void) { return %d; }\n' $i $i >"$WORK/sources/$i.c"
done
python3 - "$WORK/sources" <<'PYTHON'
import sys
numbers = range(64)
with open(sys.argv[1] + "/main.c", "w") as main:
    main.write("#include <stdio.h>\n")
    for i in numbers:
        main.write(f"int function_{i}(void);\n")
    terms = " + ".join(f"function_{i}()" for i in numbers)
    main.write('int main(void) { printf("%d\\n", ' + terms + "); return 0; }\n")
with open(sys.argv[1] + "/Makefile", "w") as rules:
    objects = " ".join(f"{i}.o" for i in numbers)
    rules.write(f"program: main.o {objects}\n\tcc -o $@ $^\n"
                "%.o: %.c\n\tcc -O1 -c -o $@ $<\n"
                "clean:\n\trm *\n")
PYTHON
mkdir "$WORK/expected"
cp "$WORK"/sources/* "$WORK/expected/"
make --silent -C "$WORK/expected" -j 2
(cd "$WORK/expected" && sha256sum ./*.o) >"$WORK/objects"

# Two processes add to a counter, in transactions of a database with a write-ahead log.
cat >"$WORK/sqlite.py" <<'PYTHON'
import multiprocessing, sqlite3, sys
PATH, EACH = sys.argv[1], 40
def connect():
    return sqlite3.connect(PATH, timeout=60, isolation_level=None)
def add(worker):
    database = connect()
    for i in range(EACH):
        database.execute("begin immediate")
        database.execute("update counter set value = value + 1")
        database.execute("insert into log values (?, ?, ?)", (worker, i, "x" * 2000))
        database.execute("commit")
database = connect()
assert database.execute("pragma journal_mode=wal").fetchone() == ("wal",)
database.execute("create table counter (value)")
database.execute("create table log (worker, number, text)")
database.execute("insert into counter values (0)")
workers = [multiprocessing.Process(target=add, args=(n,)) for n in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
assert database.execute("select value from counter").fetchone() == (2 * EACH,)
assert database.execute("select count(distinct worker * 1000 + number) from log").fetchone() == (2 * EACH,)
PYTHON

# Calls that would fail, or be seen, if they were carried out twice or not at all.
cat >"$WORK/names.py" <<'PYTHON'
import multiprocessing, os, sys
ROUNDS, APPENDS = 60, 200
os.chdir(sys.argv[1])
def append(worker):
    descriptor = os.open("log", os.O_WRONLY | os.O_APPEND)
    for i in range(APPENDS):
        line = b"%d %d\n" % (worker, i)
        assert os.write(descriptor, line) == len(line)
    os.close(descriptor)
os.close(os.open("log", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
workers = [multiprocessing.Process(target=append, args=(n,)) for n in range(2)]
for worker in workers:
    worker.start()
os.close(os.open("counter", os.O_CREAT | os.O_EXCL))
os.setxattr("counter", "user.count", b"0", os.XATTR_CREATE)
for i in range(ROUNDS):
    os.mkdir("d")
    os.close(os.open("d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.link("d/f", "d/g")
    os.rename("d/f", "d/h")
    os.symlink("h", "d/s")
    assert sorted(os.listdir("d")) == ["g", "h", "s"]
    count = int(os.getxattr("counter", "user.count"))
    os.setxattr("counter", "user.count", b"%d" % (count + 1), os.XATTR_REPLACE)
    with open("d/s", "ab") as file:
        file.write(b"%d" % i)
    os.truncate("d/h", 100)
    assert open("d/g", "rb").read() == (b"%d" % i).ljust(100, b"\0")
    assert os.stat("d/g").st_nlink == 2
    for name in "ghs":
        os.unlink("d/" + name)
    os.rmdir("d")
assert os.getxattr("counter", "user.count") == b"%d" % ROUNDS
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
lines = open("log").read().splitlines()
for worker in range(2):
    own = [line.split()[1] for line in lines if line.split()[0] == str(worker)]
    assert own == [str(i) for i in range(APPENDS)], own
assert len(lines) == 2 * APPENDS
os.unlink("log")
os.unlink("counter")
PYTHON

# repeat PROGRAM: runs rounds until the time is over, and counts them.
repeat() {
  local name=$1 end=$((SECONDS + seconds)) rounds=0
  mkdir "$MOUNT/$name"
  while ((SECONDS < end)); do
    # In a shell of its own, because "||" would turn errexit off in the function.
    bash -euo pipefail -c "$(declare -f "round_$name"); round_$name $MOUNT/$name" || return 1
    ((++rounds))
  done
  echo "$rounds" >"$WORK/rounds_$name"
}

kill_now() { pkill "-${KILLED_SIGNAL:-KILL}" --parent "$DAEMON" || true; }
# shellcheck disable=SC2317 # runs in the background
kill_in_turn() {
  while sleep "${KILLED_EVERY:-0.2}"; do
    kill_now
    echo killed >>"$WORK/kills"
    timeout 60 stat --file-system "$MOUNT" >/dev/null || true
  done
}

programs=(fio compile sqlite git names)
stores=(daemon)
if [[ $MODE == root ]]; then stores+=(passthrough); fi
for store in "${stores[@]}"; do
  : >"$WORK/kills"
  start_memfuse "$MOUNT" --resilient --data="$store" --threads="${KILLED_THREADS:-8}" --size=1g
  empty=$(stored)
  kill_in_turn &
  killer=$!
  processes=()
  for program in "${programs[@]}"; do
    (set +e; repeat "$program") >"$WORK/said_$program" 2>&1 &
    processes+=($!)
  done
  failed=()
  for i in "${!programs[@]}"; do
    wait "${processes[$i]}" || failed+=("${programs[$i]}: $(tail -n 30 "$WORK/said_${programs[$i]}")")
  done
  kill "$killer"
  wait "$killer" || true
  [[ ${#failed[@]} -eq 0 ]] || fail "$store: ${failed[*]} log: $(tail -n 40 "$LOG")"
  wait_until 30 "$control" status "$MOUNT" >/dev/null || fail "$store: no server"
  rm -rf "${MOUNT:?}"/*
  wait_until 60 has_stored "$empty" || fail "$store: $(stored) is left, and not $empty"
  echo "$store: $(wc -l <"$WORK/kills") kills; rounds:$(
    for program in "${programs[@]}"; do echo -n " $program $(<"$WORK/rounds_$program")"; done)"
  unmount "$MOUNT"
  wait "$DAEMON" || fail "$store: the end: $(tail -n 40 "$LOG")"
done
