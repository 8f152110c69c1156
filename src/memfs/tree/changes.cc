#include "src/memfs/tree/changes.h"

#include <utility>

namespace memfuse::memfs {

// The friend of Inode that changes link counts, and the times that change with them.
class LinkChanges {
 public:
  // Records a change of the entries of `dir`, in which the number of subdirectories changed by
  // `subdirectories`.
  static void TouchDirectory(Directory* dir, int subdirectories, Timestamp now)
      ABSL_LOCKS_EXCLUDED(dir->mu) {
    MutexLock lock(&dir->mu);
    dir->ChangedLocked(now);
    dir->meta_.mtime = now;
    dir->meta_.nlink += static_cast<uint32_t>(subdirectories);
  }

  static void TouchInode(Inode* inode, Timestamp now) ABSL_LOCKS_EXCLUDED(inode->mu) {
    MutexLock lock(&inode->mu);
    inode->ChangedLocked(now);
  }

  static void GainLink(Inode* inode, Timestamp now) ABSL_LOCKS_EXCLUDED(inode->mu) {
    MutexLock lock(&inode->mu);
    inode->ChangedLocked(now);
    inode->meta_.nlink += inode->is_directory() ? 2 : 1;
    inode->linkable = false;
    inode->EndRemovedLocked();
  }

  static bool LoseLink(Inode* inode, Timestamp now) ABSL_LOCKS_EXCLUDED(inode->mu) {
    MutexLock lock(&inode->mu);
    inode->ChangedLocked(now);
    if (inode->is_directory()) {
      inode->meta_.nlink = 0;
    } else {
      --inode->meta_.nlink;
    }
    if (inode->MarkDeadIfUnusedLocked()) return true;
    inode->NoteRemovedLocked();
    return false;
  }
};

namespace {

void SetParent(Inode* inode, const Directory* parent) {
  if (inode->is_directory()) static_cast<Directory*>(inode)->set_parent(parent->ino);
}

}  // namespace

void AddRoot(Directory* root, Timestamp now) { LinkChanges::GainLink(root, now); }

void AddEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  dir->Insert(dentry);
  LinkChanges::GainLink(dentry->inode, now);
  SetParent(dentry->inode, dir);
  LinkChanges::TouchDirectory(dir, dentry->inode->is_directory() ? 1 : 0, now);
}

bool RemoveEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  Inode* const inode = dentry->inode;
  dir->Erase(dentry);
  LinkChanges::TouchDirectory(dir, inode->is_directory() ? -1 : 0, now);
  return LinkChanges::LoseLink(inode, now);
}

bool MoveEntry(Directory* from, Directory* to, const MoveSpec& move, Timestamp now) {
  Inode* const moved = move.source->inode;
  Inode* const replaced = move.target != nullptr ? move.target->inode : nullptr;
  if (move.target != nullptr) {
    move.target->inode = moved;
  } else {
    to->Insert(move.fresh);
  }
  if (move.whiteout != nullptr) {
    move.source->inode = move.whiteout;
    LinkChanges::GainLink(move.whiteout, now);
  } else {
    from->Erase(move.source);
  }
  SetParent(moved, to);
  const int arrived = moved->is_directory() ? 1 : 0;
  const int left = replaced != nullptr && replaced->is_directory() ? 1 : 0;
  LinkChanges::TouchDirectory(from, -arrived, now);
  LinkChanges::TouchDirectory(to, arrived - left, now);
  LinkChanges::TouchInode(moved, now);
  return replaced != nullptr && LinkChanges::LoseLink(replaced, now);
}

void ExchangeEntries(Directory* a_dir, Dentry* a, Directory* b_dir, Dentry* b, Timestamp now) {
  std::swap(a->inode, b->inode);
  SetParent(a->inode, a_dir);
  SetParent(b->inode, b_dir);
  const int difference = (a->inode->is_directory() ? 1 : 0) - (b->inode->is_directory() ? 1 : 0);
  LinkChanges::TouchDirectory(a_dir, difference, now);
  LinkChanges::TouchDirectory(b_dir, -difference, now);
  LinkChanges::TouchInode(a->inode, now);
  LinkChanges::TouchInode(b->inode, now);
}

}  // namespace memfuse::memfs
