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
    // Most other blocks refer to inodes, so these come first.
    ForEachBlock([this](BlockHeader* block) {
      return block->kind != kInodeKind || MakeObject(reinterpret_cast<InodeRecord*>(block));
    });
    ForEachBlock([this](BlockHeader* block) { return Add(block); });
    if (!table_.Find(kRootInode)) damaged_ = true;
    if (damaged_) return absl::FailedPreconditionError("the records of the files are damaged");
    const auto data_of = [this](InodeNumber number) -> FileData* {
      const InodeRef inode = table_.Find(number);
      return inode && inode->is_regular() ? DataOf(inode.get()) : nullptr;
    };
    if (!resources_.store->FinishAdoption(&records_, data_of).ok()) return NoData();
    for (const InodeRef& inode : inodes_) {
      if (inode->is_regular() && !DataOf(inode.get())->Repair().ok()) return NoData();
      NoteRemoved(inode.get());
    }
    return result_;
  }

 private:
  static FileData* DataOf(Inode* inode) { return static_cast<RegularFile*>(inode)->data(); }
  static absl::Status NoData() {
    return absl::ResourceExhaustedError("the data of the files cannot be taken over");
  }

  // Calls `add` with each block, until it returns false.
  template <typename Add>
  void ForEachBlock(Add add) {
    records_.ForEachBlock([&](BlockHeader* block) {
      if (!damaged_ && !add(block)) damaged_ = true;
    });
  }

  bool Add(BlockHeader* block) {
    const BlockKind kind = block->kind;
    if (kind == kInodeKind) return true;
    if (kind == kDentryKind) return AddName(reinterpret_cast<Dentry*>(block));
    if (kind == kQuotaKind) {
      return resources_.quota_records.Adopt(reinterpret_cast<QuotaRecord*>(block));
    }
    Inode* const inode = InodeOf(block->owner);
    if (inode == nullptr) {
      // The inode was unused.
      records_.Free(block);
      return true;
    }
    if (kind == kXattrKind) {
      ++result_.xattrs;
      return inode->AdoptXattr(reinterpret_cast<XattrRecord*>(block)).ok();
    }
    return inode->is_regular() && DataOf(inode)->Adopt(block);
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
                      InodeCost(record->type, record->target().size(), resources_.store.get()))
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
