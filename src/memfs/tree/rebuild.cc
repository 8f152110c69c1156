#include "src/memfs/tree/rebuild.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "src/base/parallel.h"
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

// Threads divide the chunks of the record file among themselves. The index of an inode in
// ChunkState::inodes is stored in the `owner` of its record, which has no other use.
class Rebuilder {
 public:
  Rebuilder(Resources* resources, InodeTable* table)
      : resources_(*resources),
        records_(*resources->records),
        table_(*table),
        chunks_(records_.chunk_count()) {}

  absl::StatusOr<RebuiltTree> Run() {
    // Most other blocks refer to inodes, so these come first. If there is no memory for one, the
    // inode does not take its record with it.
    {
      records_.SetAbandoned(true);
      const absl::Cleanup keep_records = [this] { records_.SetAbandoned(false); };
      ForEachBlock([this](ChunkState* chunk, BlockHeader* block) {
        return block->kind == kInodeKind &&
               MakeObject(chunk, reinterpret_cast<InodeRecord*>(block));
      });
    }
    ForEachBlock([this](ChunkState* chunk, BlockHeader* block) { return Add(chunk, block); });
    if (!table_.Find(kRootInode)) damaged_ = true;
    if (damaged_) return absl::FailedPreconditionError("the records of the files are damaged");
    for (const ChunkState& chunk : chunks_) {
      for (InodeRecord* const record : chunk.unused) records_.Free(record);
    }
    const auto data_of = [this](InodeNumber number) -> FileData* {
      const InodeRef inode = table_.Find(number);
      return inode && inode->is_regular() ? DataOf(inode.get()) : nullptr;
    };
    if (!resources_.store->FinishAdoption(&records_, data_of).ok()) return NoData();
    std::atomic<bool> repaired{true};
    base::RunInParallel(chunks_.size(), records_.ScanThreads(), [&](size_t i) {
      for (const Made& made : chunks_[i].inodes) {
        Inode* const inode = made.inode.get();
        if (inode->is_regular() && !DataOf(inode)->Repair().ok()) repaired.store(false);
        NoteRemoved(inode);
      }
    });
    if (!repaired.load()) return NoData();
    RebuiltTree sum;
    for (const ChunkState& chunk : chunks_) {
      sum.inodes += chunk.inodes.size();
      sum.unused += chunk.unused.size();
      sum.names += chunk.names;
      sum.xattrs += chunk.xattrs;
    }
    return sum;
  }

 private:
  struct Made {
    InodeRef inode;
    BlockId record;
  };
  // What is in the blocks of a chunk. One thread at a time changes it.
  struct ChunkState {
    std::vector<Made> inodes;
    std::vector<InodeRecord*> unused;
    uint64_t names = 0;
    uint64_t xattrs = 0;
  };

  static FileData* DataOf(Inode* inode) { return static_cast<RegularFile*>(inode)->data(); }
  static absl::Status NoData() {
    return absl::ResourceExhaustedError("the data of the files cannot be taken over");
  }

  // Calls `visit` with each block, until the records are found to be damaged. `visit` returns
  // whether it has freed the block.
  template <typename Visit>
  void ForEachBlock(Visit visit) {
    base::RunInParallel(chunks_.size(), records_.ScanThreads(), [&](size_t i) {
      records_.ForEachBlockOf(static_cast<uint32_t>(i), [&](BlockHeader* block) {
        return !damaged_.load(std::memory_order_relaxed) && visit(&chunks_[i], block);
      });
    });
  }

  // Returns whether it has freed the block.
  bool Add(ChunkState* chunk, BlockHeader* block) {
    const BlockKind kind = block->kind;
    if (kind == kInodeKind) return false;
    if (kind == kDentryKind) return Check(AddName(chunk, reinterpret_cast<Dentry*>(block)));
    if (kind == kQuotaKind) {
      MutexLock lock(&quotas_mu_);
      return Check(resources_.quota_records.Adopt(reinterpret_cast<QuotaRecord*>(block)));
    }
    Inode* const inode = InodeOf(block->owner);
    if (inode == nullptr) {
      // The inode was unused.
      records_.Free(block);
      return true;
    }
    if (kind == kXattrKind) {
      ++chunk->xattrs;
      return Check(inode->AdoptXattr(reinterpret_cast<XattrRecord*>(block)).ok());
    }
    return Check(inode->is_regular() && DataOf(inode)->Adopt(block));
  }

  // The block is not freed, and damaged unless it is `valid`.
  bool Check(bool valid) {
    if (!valid) damaged_.store(true);
    return false;
  }

  bool MakeObject(ChunkState* chunk, InodeRecord* record) {
    const InodeAttributes& attributes = record->attributes;
    if (attributes.nlink == 0 && attributes.lookups == 0 && attributes.opens == 0) {
      record->header.owner = kUnused;
      chunk->unused.push_back(record);
      return false;
    }
    if (!IsFileType(record->type) || record->ino == 0) return Check(false);
    const AccountRef account =
        resources_.accounts.Find(attributes.owner, InodeNumber{attributes.tree});
    Reservation charge;
    InodeReservation slot;
    if (!slot.Reserve(account.get()).ok() ||
        !charge
             .Reserve(account.get(),
                      InodeCost(record->type, record->target().size(), resources_.store.get()))
             .ok()) {
      return Check(false);
    }
    // Nothing may fail once the inode is in the table.
    if (chunk->inodes.size() == chunk->inodes.capacity()) {
      chunk->inodes.reserve(std::max<size_t>(64, 2 * chunk->inodes.size()));
    }
    auto inode = InodeRef::Adopt(MakeInode(
        &resources_, InodeRecordHolder(record, RecordDeleter{&records_}), std::move(charge)));
    table_.Insert(inode);
    slot.Keep();
    record->header.owner = static_cast<BlockId>(chunk->inodes.size());
    chunk->inodes.push_back({std::move(inode), records_.IdOf(record)});
    return false;
  }

  // Returns null if there is no inode with this record.
  Inode* InodeOf(BlockId id) const {
    const uint64_t chunk = uint64_t{id} * kBlockUnit / kChunkBytes;
    if (chunk >= chunks_.size()) return nullptr;
    const auto* const record = static_cast<const InodeRecord*>(records_.At(id));
    const std::vector<Made>& inodes = chunks_[chunk].inodes;
    if (record->header.kind != kInodeKind || record->header.owner >= inodes.size()) return nullptr;
    const Made& made = inodes[record->header.owner];
    return made.record == id ? made.inode.get() : nullptr;
  }

  bool AddName(ChunkState* chunk, Dentry* dentry) {
    Inode* const directory = InodeOf(dentry->header.owner);
    Inode* const inode = InodeOf(dentry->target.record);
    if (directory == nullptr || !directory->is_directory() || inode == nullptr) return false;
    dentry->target.inode = inode;
    auto* const owner = static_cast<Directory*>(directory);
    MutexLock lock(&owner->names_mu);
    if (dentry->target.name_size == 0 || owner->Find(dentry->name()) != nullptr) return false;
    ++chunk->names;
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

  static constexpr BlockId kUnused = ~BlockId{0};  // no index

  Resources& resources_;
  RecordFile& records_;
  InodeTable& table_;
  std::vector<ChunkState> chunks_;
  LeafMutex quotas_mu_;  // resources_.quota_records
  std::atomic<bool> damaged_{false};
};

}  // namespace

absl::StatusOr<RebuiltTree> RebuildTree(Resources* resources, InodeTable* table) {
  return Rebuilder(resources, table).Run();
}

}  // namespace memfuse::memfs
