#include "src/memfs/tree/changes.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <limits>

namespace memfuse::memfs {
namespace {

// Holds the attribute locks of several inodes. They are taken in the order of the inode numbers, as
// lock_order.h requires. Null pointers are ignored, and the same inode may occur twice.
class AttributeLocks {
 public:
  AttributeLocks(std::initializer_list<Inode*> inodes) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (Inode* const inode : inodes) {
      if (inode != nullptr) Add(inode);
    }
    for (size_t i = 0; i < count_; ++i) inodes_[i]->mu.Lock();
  }
  ~AttributeLocks() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    while (count_ > 0) inodes_[--count_]->mu.Unlock();
  }
  AttributeLocks(const AttributeLocks&) = delete;
  AttributeLocks& operator=(const AttributeLocks&) = delete;

 private:
  // Keeps inodes_ in the order of the numbers, each inode once.
  void Add(Inode* inode) {
    size_t place = count_;
    while (place > 0 && ToInt(inodes_[place - 1]->ino) > ToInt(inode->ino)) --place;
    if (place > 0 && inodes_[place - 1] == inode) return;
    for (size_t i = count_; i > place; --i) inodes_[i] = inodes_[i - 1];
    inodes_[place] = inode;
    ++count_;
  }

  std::array<Inode*, 5> inodes_;
  size_t count_ = 0;
};

void SetParent(Transaction* change, Inode* inode, const Directory* parent) {
  if (!inode->is_directory()) return;
  auto* const directory = static_cast<Directory*>(inode);
  if (directory->parent() != parent->ino) directory->SetParent(change, parent->ino);
}

void SetTarget(Transaction* change, Dentry* dentry, Inode* inode) {
  Dentry::Target* const target = change->Edit(&dentry->target);
  target->inode = inode;
  target->record = inode->record_id();
}

}  // namespace

// The friend of Inode that changes link counts, and the times that change with them. AttributeLocks
// hold the locks.
class LinkChanges {
 public:
  static RecordFile* RecordsOf(const Inode& inode) { return inode.resources_->records.get(); }

  // Records a change of the entries of `dir`, in which the number of subdirectories changed by
  // `subdirectories`.
  static void TouchDirectory(Transaction* change, Directory* dir, int subdirectories,
                             Timestamp now) {
    dir->mu.AssertHeld();
    dir->ChangedLocked(change, now);
    InodeAttributes* const attributes = dir->EditLocked(change);
    attributes->mtime = now;
    attributes->nlink += static_cast<uint32_t>(subdirectories);
  }

  static void TouchInode(Transaction* change, Inode* inode, Timestamp now) {
    inode->mu.AssertHeld();
    inode->ChangedLocked(change, now);
  }

  static void Publish(Transaction* change, Inode* inode) {
    inode->mu.AssertHeld();
    inode->PublishLocked(change);
  }

  static void GainLink(Transaction* change, Inode* inode, Timestamp now) {
    inode->mu.AssertHeld();
    inode->ChangedLocked(change, now);
    InodeAttributes* const attributes = inode->EditLocked(change);
    attributes->nlink += inode->is_directory() ? 2 : 1;
    attributes->linkable = false;
  }

  static bool LoseLink(Transaction* change, Inode* inode, Timestamp now) {
    inode->mu.AssertHeld();
    inode->ChangedLocked(change, now);
    InodeAttributes* const attributes = inode->EditLocked(change);
    attributes->nlink = inode->is_directory() ? 0 : attributes->nlink - 1;
    if (inode->MarkDeadIfUnusedLocked()) return true;
    inode->NoteRemovedLocked(change);
    return false;
  }

  static Result<void> CheckLinkable(const Inode& inode) {
    inode.mu.AssertHeld();
    // Another thread is still making an inode that is in the table and is not permanent: a
    // successor would find a name without an inode.
    if (!inode.IsPublished()) return Errno(ENOENT);
    if (inode.dead || (inode.meta().nlink == 0 && !inode.meta().linkable)) return Errno(ENOENT);
    if (inode.meta().nlink == std::numeric_limits<uint32_t>::max()) return Errno(EMLINK);
    return {};
  }
};

void AddRoot(Directory* root, Timestamp now) {
  const AttributeLocks locks({root});
  Transaction change(LinkChanges::RecordsOf(*root));
  LinkChanges::GainLink(&change, root, now);
  LinkChanges::Publish(&change, root);
  change.Commit();
}

void AddNameless(Inode* inode) {
  const AttributeLocks locks({inode});
  Transaction change(LinkChanges::RecordsOf(*inode));
  LinkChanges::Publish(&change, inode);
  change.CommitRequest(ToInt(inode->ino));
}

void AddEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  Inode* const inode = dentry->inode();
  const AttributeLocks locks({dir, inode});
  Transaction change(LinkChanges::RecordsOf(*dir));
  change.Publish(&dentry->header, kDentryKind);
  LinkChanges::Publish(&change, inode);
  LinkChanges::GainLink(&change, inode, now);
  SetParent(&change, inode, dir);
  LinkChanges::TouchDirectory(&change, dir, inode->is_directory() ? 1 : 0, now);
  dir->Insert(dentry);
  change.CommitRequest(ToInt(inode->ino));
}

Result<void> CheckLinkable(const Inode& inode) {
  MutexLock lock(&inode.mu);
  return LinkChanges::CheckLinkable(inode);
}

Result<Entry> AddLink(Directory* dir, Dentry* dentry, uint64_t generation, Timestamp now) {
  Inode* const inode = dentry->inode();
  const AttributeLocks locks({dir, inode});
  MEMFUSE_RETURN_IF_ERROR(LinkChanges::CheckLinkable(*inode));
  Transaction change(LinkChanges::RecordsOf(*dir));
  change.Publish(&dentry->header, kDentryKind);
  LinkChanges::GainLink(&change, inode, now);
  LinkChanges::TouchDirectory(&change, dir, /*subdirectories=*/0, now);
  // The last step that can fail.
  dir->Insert(dentry);
  inode->mu.AssertHeld();
  const Entry entry = inode->AddLookupLocked(&change, generation);
  inode->EndRemovedLocked();
  change.CommitRequest(ToInt(inode->ino));
  return entry;
}

bool RemoveEntry(Directory* dir, Dentry* dentry, Timestamp now) {
  Inode* const inode = dentry->inode();
  const AttributeLocks locks({dir, inode});
  Transaction change(LinkChanges::RecordsOf(*dir));
  change.Remove(&dentry->header);
  LinkChanges::TouchDirectory(&change, dir, inode->is_directory() ? -1 : 0, now);
  const bool died = LinkChanges::LoseLink(&change, inode, now);
  dir->Erase(dentry);
  change.CommitRequest();
  return died;
}

bool MoveEntry(Directory* from, Directory* to, const MoveSpec& move, Timestamp now) {
  Inode* const moved = move.source->inode();
  Inode* const replaced = move.target != nullptr ? move.target->inode() : nullptr;
  const AttributeLocks locks({from, to, moved, replaced, move.whiteout});
  Transaction change(LinkChanges::RecordsOf(*from));
  if (move.target != nullptr) {
    SetTarget(&change, move.target, moved);
  } else {
    change.Publish(&move.fresh->header, kDentryKind);
  }
  if (move.whiteout != nullptr) {
    SetTarget(&change, move.source, move.whiteout);
    LinkChanges::Publish(&change, move.whiteout);
    LinkChanges::GainLink(&change, move.whiteout, now);
  } else {
    change.Remove(&move.source->header);
  }
  SetParent(&change, moved, to);
  const int arrived = moved->is_directory() ? 1 : 0;
  const int left = replaced != nullptr && replaced->is_directory() ? 1 : 0;
  LinkChanges::TouchDirectory(&change, from, -arrived, now);
  LinkChanges::TouchDirectory(&change, to, arrived - left, now);
  LinkChanges::TouchInode(&change, moved, now);
  // The last step that can fail.
  if (move.fresh != nullptr) to->Insert(move.fresh);
  const bool died = replaced != nullptr && LinkChanges::LoseLink(&change, replaced, now);
  if (move.whiteout == nullptr) from->Erase(move.source);
  change.CommitRequest();
  return died;
}

void ExchangeEntries(Directory* a_dir, Dentry* a, Directory* b_dir, Dentry* b, Timestamp now) {
  Inode* const to_b = a->inode();
  Inode* const to_a = b->inode();
  const AttributeLocks locks({a_dir, b_dir, to_a, to_b});
  Transaction change(LinkChanges::RecordsOf(*a_dir));
  SetTarget(&change, a, to_a);
  SetTarget(&change, b, to_b);
  SetParent(&change, to_a, a_dir);
  SetParent(&change, to_b, b_dir);
  const int difference = (to_a->is_directory() ? 1 : 0) - (to_b->is_directory() ? 1 : 0);
  LinkChanges::TouchDirectory(&change, a_dir, difference, now);
  LinkChanges::TouchDirectory(&change, b_dir, -difference, now);
  LinkChanges::TouchInode(&change, to_a, now);
  LinkChanges::TouchInode(&change, to_b, now);
  change.CommitRequest();
}

}  // namespace memfuse::memfs
