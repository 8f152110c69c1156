// Inodes: the members that all files have, and the members that the file types add.
//
// Lifetime. The inode table holds one reference to every inode that is *live*, that is, an inode
// that has names (nlink), lookups or opens. When the last of these is gone, the inode is marked
// dead under its lock and is removed from the table. A dead inode never becomes live again. Code
// that uses an inode holds a reference to it for that time, or holds a lock that keeps a name of
// the inode in place.
//
// Attributes. What has to outlive the process lies in the inode's record (tree_records.h), which
// the object owns. Mode, owner, link count, times, flags and extended attributes are changed by the
// functions of attribute_changes.h and changes.h only, except for times that the kernel has changed
// (SyncFromBackingLocked). All changes are made in a transaction (records/transaction.h); the
// caller commits it before it releases the attribute lock.

#ifndef MEMFUSE_SRC_MEMFS_TREE_INODE_H_
#define MEMFUSE_SRC_MEMFS_TREE_INODE_H_

#include <linux/fs.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "memfuse/filesystem.h"
#include "memfuse/host.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/records/store_order.h"
#include "src/memfs/records/transaction.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/space/refusals.h"
#include "src/memfs/space/removed_inodes.h"
#include "src/memfs/tree/data_store.h"
#include "src/memfs/tree/file_data.h"
#include "src/memfs/tree/quota_records.h"
#include "src/memfs/tree/times.h"
#include "src/memfs/tree/tree_records.h"
#include "src/memfs/tree/xattrs.h"

namespace memfuse::memfs {

// The resources that inodes use. The object must outlive all inodes.
struct Resources {
  Resources(uint64_t byte_limit, uint64_t inode_limit, std::unique_ptr<RecordFile> record_file)
      : records(std::move(record_file)), budget(byte_limit, inode_limit) {
    BoundRecords(byte_limit);
  }
  // Bounds the memory of the records by the limit on bytes. What is charged for records is less
  // than their memory if many blocks were freed between blocks that are in use. So the system's
  // memory that the file system takes is at most twice the limit, and kRecordSlack.
  void BoundRecords(uint64_t byte_limit) { records->SetMaxBytes(byte_limit + kRecordSlack); }
  static constexpr uint64_t kRecordSlack = 32 << 20;

  RootRecord* root() const { return static_cast<RootRecord*>(records->root()); }
  // Makes the present limits those that a successor finds.
  void RecordLimits() const {
    StoreInOrder(&root()->size_limit, budget.total());
    StoreInOrder(&root()->inode_limit, budget.inode_limit());
  }

  const std::unique_ptr<RecordFile> records;  // not null
  QuotaRecords quota_records{records.get()};  // MemFs synchronises its use
  Budget budget;
  Accounts accounts{&budget};
  std::atomic<uint64_t> ceiling{~uint64_t{0}};  // the last one of DataStore::SetCeiling
  RefusalList refusals;
  RemovedInodes removed;             // has its own synchronisation
  std::unique_ptr<DataStore> store;  // constant from the first request on
  Host host;                         // constant while requests are served

  // Makes the kernel drop the attributes that it has cached of an inode. It may be called with
  // locks held.
  void InvalidateAttributes(InodeNumber ino) const {
    if (host.notifier != nullptr) (void)host.notifier->InvalidateAttributes(ino);
  }
};

// Makes the record of an inode. `file_type` is one of the values of S_IFMT; `target` is that of a
// symbolic link. The caller sets `parent` or `rdev`. Another process does not find the record
// before it is published (changes.h). Throws std::bad_alloc.
InodeRecordHolder NewInodeRecord(RecordFile* records, InodeNumber number, uint32_t file_type,
                                 Timestamp born, std::string_view target = {});

class Inode : public base::RefCounted {
 public:
  // The inode of a record: one that NewInodeRecord has made, or one that another process has left.
  // `charge` is what the inode is charged, less than 64 KiB, and its account determines the owner
  // and the tree. The inode owns the record and the charge from then on, also if the constructor of
  // a derived class throws. `resources` must outlive it.
  Inode(Resources* resources, InodeRecordHolder record, Reservation charge);

  // May be called without the lock. It changes under the lock.
  Owner owner() const {
    Owner owner;
    __atomic_load(&record_->attributes.owner, &owner, __ATOMIC_RELAXED);
    return owner;
  }
  // The account to which the inode, its data and its names are charged. It changes together with
  // the owner or the tree, and only under all locks of the inode: that of the names or of the data,
  // and `mu`. The caller holds one of them, or the inode is dead or known to the calling thread
  // only.
  Account* account() const { return account_.get(); }
  const InodeAttributes& meta() const ABSL_SHARED_LOCKS_REQUIRED(mu) { return record_->attributes; }
  // What the inode itself and its extended attributes are charged: all but data and names.
  uint64_t OwnChargeLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return cost_ + (xattrs_ == nullptr ? 0 : xattrs_->TotalCost());
  }
  // Returns null if the inode has no extended attributes.
  const Xattrs* xattrs() const ABSL_SHARED_LOCKS_REQUIRED(mu) { return xattrs_.get(); }

  // Updates size, blocks and times with what happened without a request, and returns how long they
  // stay valid. It is called before any of them is read or changed.
  virtual CacheSeconds SyncFromBackingLocked(Transaction* /*change*/)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return kCacheForever;
  }

  // The same, in a transaction of its own.
  CacheSeconds SyncFromBackingLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // How long the attributes of a new inode stay valid, judged without a look.
  virtual CacheSeconds FirstValidity() const { return kCacheForever; }

  virtual uint64_t size() const { return target().size(); }
  virtual uint64_t blocks() const { return 0; }

  bool is_directory() const { return type == S_IFDIR; }
  bool is_regular() const { return type == S_IFREG; }

  // The flags of chattr(1): FS_*_FL. May be called without the lock; they change under the lock.
  uint32_t flags() const { return __atomic_load_n(&record_->attributes.flags, __ATOMIC_RELAXED); }
  // The target of a symbolic link; otherwise empty.
  std::string_view target() const { return record_->target(); }

  // The number of the inode's record.
  BlockId record_id() const { return resources_->records->IdOf(record_); }

  // The attributes that are sent to the kernel: AttributesLocked updates them first,
  // KnownAttributesLocked does not.
  AttributesResult AttributesLocked(Transaction* change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const CacheSeconds valid = SyncFromBackingLocked(change);
    // The kernel changes the attributes through an open file.
    kernel_attrs_valid_ = valid != 0 && meta().opens == 0;
    return {KnownAttributesLocked(), valid};
  }
  Attributes KnownAttributesLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Whether the kernel probably knows the inode and its current attributes. READDIRPLUS uses this
  // to omit attributes. If the result is wrongly true, the kernel sends a request for them.
  bool IsKnownToKernelLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    // If the inode has several names, the kernel may know it by another name only.
    return kernel_attrs_valid_ && meta().lookups != 0 && (meta().nlink == 1 || is_directory());
  }
  // AttributesLocked in the form of a reply to LOOKUP and similar requests. Counts the lookup.
  Entry AddLookupLocked(Transaction* change, uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The same for a lookup that was counted before.
  Entry EntryLocked(Transaction* change, uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Removes at most `count` lookups.
  void RemoveLookupsLocked(Transaction* change, uint64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The reply for an inode whose first lookup was counted, and that only the calling thread knows:
  // the attributes with which it was made are valid.
  Entry FirstEntryLocked(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Sets the counts of an inode that only the calling thread knows and that has no name yet: one
  // lookup, and one open with `open_flags` if it is set. `linkable`: see InodeAttributes.
  void InitCounts(std::optional<uint32_t> open_flags, bool linkable) ABSL_LOCKS_EXCLUDED(mu);

  // Called for each successful open(2) and for its RELEASE. A RELEASE without an open is ignored.
  // The kernel may change an open file, so the attributes that it has are not valid any more.
  // `executes`: the open is part of an execve(2).
  void AddOpenLocked(Transaction* change, uint32_t flags, bool executes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void RemoveOpenLocked(Transaction* change, uint32_t flags, bool executes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Adds an extended attribute that another process has left, and charges it. Returns EDQUOT or
  // ENOSPC; throws std::bad_alloc.
  Result<void> AdoptXattr(XattrRecord* xattr) ABSL_LOCKS_EXCLUDED(mu);

  // Returns true once, when no name, lookup or open keeps the inode. The caller then removes it
  // from the table, without holding locks.
  [[nodiscard]] bool MarkDeadIfUnusedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Called when the last name or the last open is gone. If only the kernel still refers to the
  // inode, and no mapping may remain, the inode counts as unlinked, awaiting FORGET
  // (removed_inodes.h), until it is destroyed, its data is handed to the reclaim thread, or it gets
  // a name or an open again.
  void NoteRemovedLocked(Transaction* change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Ends the state 'unlinked, awaiting FORGET'.
  void EndRemovedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void EndRemoved() ABSL_LOCKS_EXCLUDED(mu);

  // The members are sorted by size, with small ones where others leave gaps, because there may be
  // millions of inodes.
  const uint16_t type;  // adjacent to the reference count

 private:
  const uint16_t cost_;

 public:
  const InodeNumber ino;
  mutable AttributeMutex mu;
  RemovedInodes::Ticket removal ABSL_GUARDED_BY(mu);  // false: not 'unlinked, awaiting FORGET'
  bool dead ABSL_GUARDED_BY(mu) = false;

 protected:
  ~Inode() override;

  // Takes over the times that the data store reports: the kernel changed the file by itself.
  void TakeBackingTimesLocked(Transaction* change, const Times& times)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  InodeRecord* record() const { return record_; }

 private:
  friend class AttributeChanges;  // attribute_changes.h
  friend class LinkChanges;       // changes.cc

  // Returns the time stamp for a change at `now` (base::Now). Two threads may call this in a
  // different order than they got their times, and the kernel may have written since. In these
  // cases the result is the inode's ctime, which programs cannot set.
  Timestamp StampLocked(Timestamp now) const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return IsShortlyBefore(now, meta().ctime) ? Timestamp(meta().ctime) : now;
  }
  // Returns the attributes for changes in the transaction.
  InodeAttributes* EditLocked(Transaction* change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return change->Edit(&record_->attributes);
  }
  // Records that the inode changed at `now`: moves ctime.
  void ChangedLocked(Transaction* change, Timestamp now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // A successor finds the inode once the transaction is committed.
  void PublishLocked(Transaction* change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    change->Publish(&record_->header, kInodeKind);
    if (xattrs_ != nullptr) xattrs_->Publish(change);
  }
  // Whether it is permanent.
  bool IsPublished() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return record_->header.kind == kInodeKind;
  }

  // The attributes that the kernel has are valid: they were sent in a reply, and as far as the
  // daemon knows they have not changed since.
  bool kernel_attrs_valid_ ABSL_GUARDED_BY(mu) = false;
  InodeRecord* const record_;                           // `mu` guards record_->attributes
  AccountRef account_;                                  // see account()
  std::unique_ptr<Xattrs> xattrs_ ABSL_GUARDED_BY(mu);  // null: none

 protected:
  Resources* const resources_;
};

class RegularFile : public Inode {
 public:
  using Inode::Inode;

  using Inode::SyncFromBackingLocked;
  CacheSeconds SyncFromBackingLocked(Transaction* change) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  CacheSeconds FirstValidity() const override { return data()->Validity(); }
  uint64_t size() const override { return data()->size(); }
  uint64_t blocks() const override { return data()->blocks(); }
  // Returns how many bytes the data takes now.
  uint64_t DataBytes() ABSL_LOCKS_EXCLUDED(mu);

  // The data has its own lock.
  virtual FileData* data() const = 0;
};

// A regular file whose FileData object lies in the same heap block. The constructor of Data takes
// the account of the file, its record, which outlives the object, and then `arguments`.
template <typename Data>
class FileOf final : public RegularFile {
 public:
  template <typename... Arguments>
  FileOf(Resources* resources, InodeRecordHolder record, Reservation charge,
         Arguments&&... arguments)
      : RegularFile(resources, std::move(record), std::move(charge)),
        data_(account(), this->record(), std::forward<Arguments>(arguments)...) {}

  FileData* data() const override { return &data_; }

 private:
  mutable Data data_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_INODE_H_
