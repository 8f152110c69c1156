#!/bin/bash
# git: a few hundred commits, three kinds of clones, gc, fsck, and a clean status afterwards.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need git

start_memfuse "$MOUNT" --size=1g --threads=4
git config --global user.name Test
git config --global user.email test@example.org
git config --global init.defaultBranch main

origin=$MOUNT/origin
git init -q "$origin"
cd "$origin"
for ((i = 0; i < 300; ++i)); do
  directory=dir$((i % 17))
  mkdir -p "$directory"
  echo "content $i" >"$directory/file$i"
  seq "$i" $((i + 50)) >"$directory/changing"
  if ((i % 50 == 49)); then git mv "dir$((i % 7))" "moved$i"; fi
  git add -A
  git commit -q -m "commit $i"
done
[[ $(git rev-list --count HEAD) == 300 ]] || fail "commits are missing"
[[ -z $(git status --porcelain) ]] || fail "status is not clean"

git clone -q --local "$origin" "$MOUNT/hard_linked"
git clone -q --no-local "$origin" "$MOUNT/copied"
git clone -q "file://$origin" "$WORK/on_disk"
git clone -q --bare "file://$WORK/on_disk" "$MOUNT/from_disk.git"
head=$(git rev-parse HEAD)
for clone in "$MOUNT/hard_linked" "$MOUNT/copied" "$WORK/on_disk" "$MOUNT/from_disk.git"; do
  [[ $(git -C "$clone" rev-parse HEAD) == "$head" ]] || fail "$clone has another HEAD"
  git -C "$clone" fsck --full --strict --no-progress || fail "fsck of $clone"
done
diff -r --exclude=.git "$MOUNT/copied" "$WORK/on_disk" || fail "the work trees differ"

cd "$MOUNT/copied"
git checkout -q -b topic HEAD~150
echo topic >topic
git add topic
git commit -q -m topic
git checkout -q main
git merge -q -m merge topic
git stash list
git push -q origin main:merged
git gc -q --aggressive --prune=now
git fsck --full --strict --no-progress || fail "fsck after gc"
[[ -z $(git status --porcelain) ]] || fail "status is not clean after gc"
git -C "$origin" gc -q
git -C "$origin" fsck --full --strict --no-progress || fail "fsck of the origin"
[[ $(git -C "$origin" rev-parse merged) == "$(git rev-parse main)" ]] || fail "the push is lost"
[[ -z $(git -C "$MOUNT/hard_linked" status --porcelain) ]] || fail "the linked clone is not clean"

cd "$WORK"
stop_memfuse "$MOUNT"
