#!/bin/bash
# fio writes with each of its I/O engines, and reads and verifies every block.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need fio

start_memfuse "$MOUNT" --size=2g --threads=4
cd "$WORK" # fio leaves files where it runs

# verify NAME SIZE FLAG...: runs two processes, each with its own file.
verify() {
  local name=$1 size=$2
  shift 2
  timeout 60 fio --name="$name" --directory="$MOUNT" --size="$size" --numjobs=2 --thread=0 \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --randrepeat=0 \
    --output="$WORK/$name.log" "$@" || fail "$name: $(cat "$WORK/$name.log")"
  grep -q 'err= 0' "$WORK/$name.log" || fail "$name: $(cat "$WORK/$name.log")"
  rm -f "$MOUNT/$name".*
}

for rw in randwrite write randrw; do
  verify "psync-$rw" 32m --ioengine=psync --rw=$rw --bs=4k
  verify "psync-odd-$rw" 8m --ioengine=psync --rw=$rw --bsrange=512-37k --bs_unaligned
  verify "psync-large-$rw" 128m --ioengine=psync --rw=$rw --bs=1m
  verify "direct-$rw" 32m --ioengine=libaio --direct=1 --iodepth=16 --rw=$rw --bs=4k
  verify "direct-large-$rw" 128m --ioengine=libaio --direct=1 --iodepth=8 --rw=$rw --bs=2m
  verify "buffered-$rw" 32m --ioengine=libaio --direct=0 --iodepth=16 --rw=$rw --bs=16k
  verify "mmap-$rw" 32m --ioengine=mmap --rw=$rw --bs=4k
  verify "mmap-large-$rw" 64m --ioengine=mmap --rw=$rw --bs=256k
done
# Sync calls between writes, and a preallocated file that is written backwards.
verify fsync 8m --ioengine=psync --rw=randwrite --bs=4k --fsync=8
verify backwards 16m --ioengine=psync --rw=write:-8k --bs=4k --fallocate=posix

# Writes one file through a mapping, with O_DIRECT and through the page cache at the same time, each
# in its own range, with borders inside the read-ahead window. Blocks contain their offset. fio's
# headers would count the writes of one process only.
mixed=(--filename="$MOUNT/mixed" --filesize=96m --size=32m --verify=pattern --verify_pattern=%o
  --verify_fatal=1 --do_verify=1 --verify_state_save=0 --randrepeat=0 --bs=4k)
for rw in randwrite randrw; do
  timeout 120 fio "${mixed[@]}" --rw=$rw --output="$WORK/mixed.log" \
    --name=mapped --ioengine=mmap --offset=0 \
    --name=direct --ioengine=libaio --direct=1 --iodepth=16 --offset=32m \
    --name=buffered --ioengine=psync --offset=64m || fail "mixed $rw: $(cat "$WORK/mixed.log")"
  [[ $(grep -c 'err= 0' "$WORK/mixed.log") == 3 ]] || fail "mixed $rw: $(cat "$WORK/mixed.log")"
done
rm "$MOUNT/mixed"
[[ -z $(ls -A "$MOUNT") ]] || fail "fio has left files"
stop_memfuse "$MOUNT"
