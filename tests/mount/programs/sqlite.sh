#!/bin/bash
# sqlite3: four processes write to one database at the same time. No row may be lost.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need sqlite3

writers=4
rows=1000

start_memfuse "$MOUNT" --size=1g --threads=4

# Every row is a separate transaction, so the processes alternate all the time.
statements() {
  local writer=$1 i
  echo '.timeout 60000'
  for ((i = 0; i < rows; ++i)); do
    echo "BEGIN IMMEDIATE; INSERT INTO t VALUES ($writer, $i, hex(randomblob(200))); COMMIT;"
  done
}

for journal in wal delete; do
  database=$MOUNT/$journal.db
  sqlite3 "$database" "PRAGMA journal_mode=$journal;
    CREATE TABLE t (writer INTEGER, i INTEGER, data TEXT, PRIMARY KEY (writer, i));" >"$WORK/mode"
  [[ $(<"$WORK/mode") == "$journal" ]] || fail "journal mode is $(<"$WORK/mode"), not $journal"
  pids=()
  for ((writer = 0; writer < writers; ++writer)); do
    statements "$writer" | sqlite3 -bail "$database" &
    pids+=("$!")
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || fail "a writer failed (journal mode $journal)"
  done
  [[ $(sqlite3 "$database" 'PRAGMA integrity_check') == ok ]] || fail "integrity check ($journal)"
  got=$(sqlite3 "$database" 'SELECT count(*), count(DISTINCT writer), sum(i), min(length(data)) FROM t')
  expected="$((writers * rows))|$writers|$((writers * rows * (rows - 1) / 2))|400"
  [[ $got == "$expected" ]] || fail "rows are $got, not $expected ($journal)"
  sqlite3 "$database" 'PRAGMA wal_checkpoint(TRUNCATE); VACUUM' >/dev/null
  [[ $(sqlite3 "$database" 'PRAGMA integrity_check') == ok ]] || fail "integrity after VACUUM"
  cp "$database" "$WORK/copy.db"
  [[ $(sqlite3 "$WORK/copy.db" 'SELECT count(*) FROM t') == $((writers * rows)) ]] ||
    fail "the copied file has other rows ($journal)"
done
stop_memfuse "$MOUNT"
