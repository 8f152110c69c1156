#!/bin/bash
# rsync copies all attributes of files to the mount and back. The result must be the same as on the
# kernel's tmpfs.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need rsync setfattr getfattr setfacl getfacl
[[ $MODE == user ]] || need setcap

# make_tree DIRECTORY
make_tree() {
  mkdir "$1"
  cd "$1"
  mkdir -p dir/sub/deep empty setgid sticky
  head -c 100 /dev/urandom >small
  head -c 3000000 /dev/urandom >large
  : >nothing
  # Hard links, also across directories, and to files that are not regular.
  ln small dir/second_name
  ln small dir/sub/third_name
  ln -s nowhere dangling
  ln -s ../small dir/link
  ln -P dangling second_dangling
  # Holes at the beginning, between data, and at the end.
  truncate -s 50M sparse
  printf data | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none
  printf more | dd of=sparse bs=1 seek=30000001 conv=notrunc status=none
  mkfifo fifo
  printf x >"$(printf 'not\377utf8')"
  printf x >"$(printf 'n%.0s' {1..255})"
  printf x >$'new\nline'
  printf x >' spaces '
  cp large setuid_program
  chmod 4711 setuid_program
  cp small setgid_program
  chmod 2755 setgid_program
  chmod 2775 setgid
  chmod 1777 sticky
  chmod 0000 nothing
  chmod 0555 dir/sub/deep
  setfattr -n user.note -v 'a value' small
  setfattr -n user.binary -v 0x00ff0102 large
  setfattr -n user.large -v "$(printf 'v%.0s' {1..3000})" large
  setfattr -n user.dir -v d dir
  setfacl -m u:1:rwx,g:2:r--,m::r-x small
  setfacl -m u:3:r-- large
  setfacl -d -m u:4:rwx,g::r-x empty
  if [[ $MODE == root ]]; then
    mknod null c 1 3
    mknod block b 7 200
    mknod wide c 4095 1048575
    chown 1234:4321 large dir/link fifo
    chown -h 77:88 dangling
    chmod 6755 setuid_program
    cp small capable
    setcap cap_net_raw+ep capable
    setfattr -n trusted.secret -v t dir
  fi
  # The directories come last, because new entries change their times.
  touch -d '2001-02-03 04:05:06.123456789' small sparse fifo
  touch -d '1969-12-31 12:00:00.5' large
  touch -h -d '2011-11-11 11:11:11.111111111' dangling dir/link
  touch -d '2038-01-20 00:00:00.987654321' empty dir/sub dir
  cd "$WORK"
}

# -S keeps holes. --modify-window=-1 compares times to the nanosecond.

# The whole output of stat, getfattr and getfacl for a tree. The sizes of directories depend on the
# file system.
manifest() {
  cd "$1"
  find . -type d -printf '%p %y %m %n %U %G %T@\n' -o \
    -printf '%p %y %m %n %U %G %T@ %s %l\n' | LC_ALL=C sort
  find . \( -type b -o -type c \) -exec stat -c '%n %t %T' {} + | sort
  find . -links +1 ! -type d -printf '%i %p\n' | LC_ALL=C sort -k 2 |
    awk '{ if (!($1 in group)) group[$1] = ++n; $1 = group[$1]; print }'
  # Only the owner can read a file of mode 0, and reading an xattr needs the same permission as its
  # file.
  find . ! -type l \( -readable -o -type d \) -print0 | LC_ALL=C sort -z |
    xargs -0 getfattr -h -d -m - -e hex
  find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n
  cd "$WORK"
}

# same A B: neither rsync nor the comparison finds a difference.
same() {
  local changes
  changes=$(rsync -aHAX --modify-window=-1 -n --delete --itemize-changes --checksum "$1/" "$2/") ||
    fail "rsync cannot compare $1 and $2"
  [[ -z $changes ]] || fail "rsync would still change $2: $changes"
  manifest "$1" >"$WORK/manifest.a"
  manifest "$2" >"$WORK/manifest.b"
  diff "$WORK/manifest.a" "$WORK/manifest.b" || fail "$1 and $2 differ"
}

# The user may not read files of mode 0, and rsync would report an error.
readable() { if [[ $MODE == user ]]; then chmod 0400 "$1/nothing"; fi; }

start_memfuse "$MOUNT" --size=1g --threads=4
original=$TMPFS/original
make_tree "$original"
readable "$original"

rsync -aHAXS --modify-window=-1 "$original/" "$MOUNT/there/"
same "$original" "$MOUNT/there"
rsync -aHAXS --modify-window=-1 "$MOUNT/there/" "$TMPFS/back/"
same "$MOUNT/there" "$TMPFS/back"
same "$original" "$TMPFS/back"
rsync -aHAXS --modify-window=-1 "$MOUNT/there/" "$MOUNT/beside/"
same "$MOUNT/there" "$MOUNT/beside"

# Holes stay holes: 50 MiB with two pages of data.
(($(stat -c %b "$MOUNT/there/sparse") <= 64)) || fail "the sparse file is not sparse any more"

# The other direction: made on memfuse, copied to tmpfs.
make_tree "$MOUNT/made_here"
readable "$MOUNT/made_here"
rsync -aHAXS --modify-window=-1 "$MOUNT/made_here/" "$TMPFS/from_memfuse/"
same "$MOUNT/made_here" "$TMPFS/from_memfuse"

# Files change in place, and rsync transfers only the changes.
for tree in "$original" "$MOUNT/there"; do
  printf changed >>"$tree/large"
  touch -d '2020-02-02 02:02:02.020202020' "$tree/large"
done
same "$original" "$MOUNT/there"
rsync -aHAX --modify-window=-1 --inplace --delete "$original/" "$MOUNT/beside/"
same "$original" "$MOUNT/beside"
stop_memfuse "$MOUNT"
