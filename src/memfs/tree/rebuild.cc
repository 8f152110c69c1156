#include "src/memfs/tree/rebuild.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "src/memfs/tree/directory.h"
#include "src/memfs/tree/make_inode.h"

namespace memfuse::memfs {
namespace {

bool IsFileType(uint32_t type) {
  switch (type) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
      return true;
    default:
      return false;
  }
}

// The index of an inode in Rebuilder::inodes_ is stored in the `owner` of its record, which has no
// other use.
class Rebuilder {
 public:
  Rebuilder(Resources* resources, InodeTable* table)
      : resources_(*resources), records_(*resources->records), table_(*table) {}

  absl::StatusOr<RebuiltTree> Run() {
    // Names and attributes refer to inodes, so all inodes come first.
    ForEach(kInodeKind, [this](BlockHeader* block) {
      return MakeObject(reinterpret_cast<InodeRecord*>(block));
    });
    ForEach(kDentryKind,
            [this](BlockHeader* block) { return AddName(reinterpret_cast<Dentry*>(block)); });
    ForEach(kXattrKind,
            [this](BlockHeader* block) { return AddXattr(reinterpret_cast<XattrRecord*>(block)); });
    if (!table_.Find(kRootInode)) damaged_ = true;
    if (damaged_) return absl::FailedPreconditionError("the records of the files are damaged");
    for (const InodeRef& inode : inodes_) NoteRemoved(inode.get());
    return result_;
  }

 private:
  // Calls `add` with each block of the kind, until it returns false.
  template <typename Add>
  void ForEach(BlockKind kind, Add add) {
    records_.ForEachBlock([&](BlockHeader* block) {
      if (!damaged_ && block->kind == kind && !add(block)) damaged_ = true;
    });
  }

  bool MakeObject(InodeRecord* record) {
    const InodeAttributes& attributes = record->attributes;
    if (attributes.nlink == 0 && attributes.lookups == 0 && attributes.opens == 0) {
      ++result_.unused;
      records_.Free(record);
      return true;
    }
    if (!IsFileType(record->type) || record->ino == 0) return false;
    const AccountRef account =
        resources_.accounts.Find(attributes.owner, InodeNumber{attributes.tree});
    Reservation charge;
    InodeReservation slot;
    if (!slot.Reserve(account.get()).ok() ||
        !charge
             .Reserve(account.get(),
                      InodeCost(record->type, record->target_size, resources_.store.get()))
             .ok()) {
      return false;
    }
    const auto index = static_cast<BlockId>(inodes_.size());
    // Nothing may fail once the inode is in the table.
    if (index == inodes_.capacity()) inodes_.reserve(std::max<size_t>(64, 2 * inodes_.size()));
    // If one of these fails, the inode does not take its record with it.
    records_.SetAbandoned(true);
    auto inode = InodeRef::Adopt(MakeInode(
        &resources_, InodeRecordHolder(record, RecordDeleter{&records_}), std::move(charge)));
    table_.Insert(inode);
    records_.SetAbandoned(false);
    slot.Keep();
    record->header.owner = index;
    inodes_.push_back(std::move(inode));
    ++result_.inodes;
    return true;
  }

  // Returns null if there is no inode with this record.
  Inode* InodeOf(BlockId id) const {
    const auto* const record = static_cast<const InodeRecord*>(records_.At(id));
    if (record->header.kind != kInodeKind || record->header.owner >= inodes_.size()) return nullptr;
    Inode* const inode = inodes_[record->header.owner].get();
    return inode->record_id() == id ? inode : nullptr;
  }

  bool AddName(Dentry* dentry) {
    Inode* const directory = InodeOf(dentry->header.owner);
    Inode* const inode = InodeOf(dentry->target.record);
    if (directory == nullptr || !directory->is_directory() || inode == nullptr) return false;
    dentry->target.inode = inode;
    auto* const owner = static_cast<Directory*>(directory);
    MutexLock lock(&owner->names_mu);
    if (dentry->target.name_size == 0 || owner->Find(dentry->name()) != nullptr) return false;
    ++result_.names;
    return owner->Adopt(dentry).ok();
  }

  bool AddXattr(XattrRecord* xattr) {
    Inode* const inode = InodeOf(xattr->header.owner);
    if (inode == nullptr) {
      // The inode was unused.
      records_.Free(xattr);
      return true;
    }
    ++result_.xattrs;
    return inode->AdoptXattr(xattr).ok();
  }

  void NoteRemoved(Inode* inode) {
    bool removed;
    {
      MutexLock lock(&inode->mu);
      removed = inode->meta().nlink == 0;
      if (removed) {
        Transaction change(&records_);
        inode->NoteRemovedLocked(&change);
        change.Commit();
      }
    }
    if (!removed || !inode->is_directory()) return;
    auto* const directory = static_cast<Directory*>(inode);
    MutexLock lock(&directory->names_mu);
    directory->removed = true;
  }

  Resources& resources_;
  RecordFile& records_;
  InodeTable& table_;
  std::vector<InodeRef> inodes_;
  RebuiltTree result_;
  bool damaged_ = false;
};

}  // namespace

absl::StatusOr<RebuiltTree> RebuildTree(Resources* resources, InodeTable* table) {
  return Rebuilder(resources, table).Run();
}

}  // namespace memfuse::memfs
