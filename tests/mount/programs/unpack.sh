#!/bin/bash
# Unpacks a tree of more than 8,000 files, compares it with the original, and removes it.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need tar diff cmp find

# The system's headers, which every machine with a C compiler has, copied as often as necessary.
original=$WORK/original
mkdir "$original"
copies=0
while (($(find "$original" -type f | wc -l) <= 8000)); do
  ((++copies <= 20)) || fail "/usr/include has too few files"
  cp -a /usr/include "$original/$copies"
done

# Compares with nanoseconds, but without access and change times, which must differ.
archive() {
  tar -C "$1" --sort=name --format=posix \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf - .
}
count() { find "$1" -mindepth 1 -printf '%y\n' | sort | uniq -c; }

start_memfuse "$MOUNT" --size=4g --threads=4
empty=$(usage_of "$MOUNT")
tree=$MOUNT/tree
mkdir "$tree"
archive "$original" | tar -C "$tree" -xpf -

diff -r --no-dereference "$original" "$tree" || fail "the copy differs"
cmp <(archive "$original") <(archive "$tree") || fail "the archives differ"
diff <(count "$original") <(count "$tree") || fail "there are not as many files"

# The usage is back at its start.
read -r used inodes < <(usage_of "$MOUNT")
data=$(du -s --apparent-size -k "$original" | cut -f 1)
expected_inodes=$(($(find "$original" -mindepth 1 -printf '%i\n' | sort -u | wc -l) + 2))
((inodes == expected_inodes)) || fail "$inodes inodes in use, not $expected_inodes"
((used > data / 2 && used < data * 2 + 100000)) || fail "$used KiB in use for $data KiB of data"

rm -rf "$tree"
[[ -z $(ls -A "$MOUNT") ]] || fail "something is left"
wait_until 60 has_usage "$MOUNT" "$empty" ||
  fail "in use before: $empty, and when all is removed: $(usage_of "$MOUNT")"
stop_memfuse "$MOUNT"
