#include "src/memfs/tree/changes.h"

#include <utility>

namespace memfuse::memfs {
namespace {

// Records a change of the entries of `dir`, in which the number of subdirectories changed by
// `subdirectories`.
void TouchDirectory(Directory* dir, int subdirectories, Timestamp now) {
  MutexLock lock(&dir->mu);
  dir->ChangedLocked(now);
  dir->meta.mtime = now;
  dir->meta.nlink += static_cast<uint32_t>(subdirectories);
}

void TouchInode(Inode* inode, Timestamp now) {
  MutexLock lock(&inode->mu);
  inode->ChangedLocked(now);
}

void GainLink(Inode* inode, Timestamp now) {
  MutexLock lock(&inode->mu);
  inode->ChangedLocked(now);
  inode->meta.nlink += inode->is_directory() ? 2 : 1;
  inode->linkable = false;
  inode->EndRemovedLocked();
}

bool LoseLink(Inode* inode, Timestamp now) {
  MutexLock lock(&inode->mu);
  inode->ChangedLocked(now);
  if (inode->is_directory()) {
    inode->meta.nlink = 0;
  } else {
    --inode->meta.nlink;
  }
  if (inode->MarkDeadIfUnusedLocked()) return true;
  inode->NoteRemovedLocked();
  return false;
}

void SetParent(Inode* inode, const Directory* parent) {
  if (inode->is_directory()) static_cast<Directory*>(inode)->set_parent(parent->ino);
}

}  // namespace

void AddEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  dir->Insert(dentry);
  GainLink(dentry->inode, now);
  SetParent(dentry->inode, dir);
  TouchDirectory(dir, dentry->inode->is_directory() ? 1 : 0, now);
}

bool RemoveEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  Inode* const inode = dentry->inode;
  dir->Erase(dentry);
  TouchDirectory(dir, inode->is_directory() ? -1 : 0, now);
  return LoseLink(inode, now);
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
    GainLink(move.whiteout, now);
  } else {
    from->Erase(move.source);
  }
  SetParent(moved, to);
  const int arrived = moved->is_directory() ? 1 : 0;
  const int left = replaced != nullptr && replaced->is_directory() ? 1 : 0;
  TouchDirectory(from, -arrived, now);
  TouchDirectory(to, arrived - left, now);
  TouchInode(moved, now);
  return replaced != nullptr && LoseLink(replaced, now);
}

void ExchangeEntries(Directory* a_dir, Dentry* a, Directory* b_dir, Dentry* b, Timestamp now) {
  std::swap(a->inode, b->inode);
  SetParent(a->inode, a_dir);
  SetParent(b->inode, b_dir);
  const int difference = (a->inode->is_directory() ? 1 : 0) - (b->inode->is_directory() ? 1 : 0);
  TouchDirectory(a_dir, difference, now);
  TouchDirectory(b_dir, -difference, now);
  TouchInode(a->inode, now);
  TouchInode(b->inode, now);
}

}  // namespace memfuse::memfs
