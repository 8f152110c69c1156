// Inodes: the members that all files have, and the members that the file types add.
//
// Lifetime. The inode table holds one reference to every inode that is *live*, that is, an inode
// that has names (nlink), lookups or opens. When the last of these is gone, the inode is marked
// dead under its lock and is removed from the table. A dead inode never becomes live again. Code
// that uses an inode holds a reference to it for that time, or holds a lock that keeps a name of
// the inode in place.
//
// Attributes. Mode, owner, link count, times, flags and extended attributes are private. They are
// changed by the functions of attribute_changes.h and changes.h only, except for times that the
// kernel has changed (SyncFromBackingLocked).

#ifndef MEMFUSE_SRC_MEMFS_TREE_INODE_H_
#define MEMFUSE_SRC_MEMFS_TREE_INODE_H_

#include <linux/fs.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "memfuse/filesystem.h"
#include "memfuse/host.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/space/refusals.h"
#include "src/memfs/space/removed_inodes.h"
#include "src/memfs/tree/data_store.h"
#include "src/memfs/tree/file_data.h"
#include "src/memfs/tree/times.h"
#include "src/memfs/tree/xattrs.h"

namespace memfuse::memfs {

// The resources that inodes use. The object must outlive all inodes.
struct Resources {
  Resources(uint64_t byte_limit, uint64_t inode_limit) : budget(byte_limit, inode_limit) {}
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

// Mode, link count and times of an inode, which are changed together.
struct Metadata : PackedTimes {
  Metadata() = default;
  Metadata(Timestamp now, uint32_t mode, uint32_t links)
      : PackedTimes(Times{now, now, now}), permissions(mode), nlink(links) {}

  uint32_t permissions = 0;  // 07777
  uint32_t nlink = 0;
};

class Inode : public base::RefCounted {
 public:
  // `file_type` is one of the values of S_IFMT. `charge` is what the inode is charged, less than
  // 64 KiB, and its account determines the owner. The inode owns the charge from then on, also if
  // the constructor of a derived class throws.
  Inode(Resources* resources, InodeNumber number, uint32_t file_type, Timestamp born,
        Reservation charge)
      : type(static_cast<uint16_t>(file_type)),
        cost_(static_cast<uint16_t>(charge.Keep())),
        ino(number),
        btime(born),
        owner_(charge.account()->owner()),
        account_(charge.account()),
        resources_(resources) {}

  // May be called without the lock. It changes under the lock.
  Owner owner() const { return owner_.load(std::memory_order_relaxed); }
  // The account to which the inode, its data and its names are charged. It changes together with
  // the owner or the tree, and only under all locks of the inode: that of the names or of the data,
  // and `mu`. The caller holds one of them, or the inode is dead or known to the calling thread
  // only.
  Account* account() const { return account_.get(); }
  const Metadata& meta() const ABSL_SHARED_LOCKS_REQUIRED(mu) { return meta_; }
  // What the inode itself and its extended attributes are charged: all but data and names.
  uint64_t OwnChargeLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return cost_ + (xattrs_ == nullptr ? 0 : xattrs_->TotalCost());
  }
  // Returns null if the inode has no extended attributes.
  const Xattrs* xattrs() const ABSL_SHARED_LOCKS_REQUIRED(mu) { return xattrs_.get(); }

  // Updates size, blocks and times with what happened without a request, and returns how long they
  // stay valid. It is called before any of them is read or changed.
  virtual CacheSeconds SyncFromBackingLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return kCacheForever;
  }

  // How long the attributes of a new inode stay valid, judged without a look.
  virtual CacheSeconds FirstValidity() const { return kCacheForever; }

  virtual uint64_t size() const { return 0; }
  virtual uint64_t blocks() const { return 0; }
  virtual uint32_t rdev() const { return 0; }

  bool is_directory() const { return type == S_IFDIR; }
  bool is_regular() const { return type == S_IFREG; }

  // The flags of chattr(1): FS_*_FL.
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }

  // The attributes that are sent to the kernel: AttributesLocked updates them first,
  // KnownAttributesLocked does not.
  AttributesResult AttributesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const CacheSeconds valid = SyncFromBackingLocked();
    // The kernel changes the attributes through an open file.
    kernel_attrs_valid_ = valid != 0 && opens == 0;
    return {KnownAttributesLocked(), valid};
  }
  Attributes KnownAttributesLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Whether the kernel probably knows the inode and its current attributes. READDIRPLUS uses this
  // to omit attributes. If the result is wrongly true, the kernel sends a request for them.
  bool IsKnownToKernelLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    // If the inode has several names, the kernel may know it by another name only.
    return kernel_attrs_valid_ && lookups != 0 && (meta_.nlink == 1 || is_directory());
  }
  // AttributesLocked in the form of a reply to LOOKUP and similar requests. Counts the lookup.
  Entry AddLookupLocked(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The same for an inode that only the calling thread knows: the attributes with which it was made
  // are valid.
  Entry AddFirstLookupLocked(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Called for each successful open(2) and for its RELEASE. A RELEASE without an open is ignored.
  // The kernel may change an open file, so the attributes that it has are not valid any more.
  void AddOpenLocked(uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void RemoveOpenLocked(uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Returns true once, when no name, lookup or open keeps the inode. The caller then removes it
  // from the table, without holding locks.
  [[nodiscard]] bool MarkDeadIfUnusedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Called when the last name or the last open is gone. If only the kernel still refers to the
  // inode, and no mapping may remain, the inode counts as unlinked, awaiting FORGET
  // (removed_inodes.h), until it is destroyed, its data is handed to the reclaim thread, or it gets
  // a name or an open again.
  void NoteRemovedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
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
  uint64_t lookups ABSL_GUARDED_BY(mu) = 0;
  RemovedInodes::Ticket removal ABSL_GUARDED_BY(mu);  // false: not 'unlinked, awaiting FORGET'
  uint32_t opens ABSL_GUARDED_BY(mu) = 0;
  uint32_t write_opens ABSL_GUARDED_BY(mu) = 0;  // part of `opens`: opens for writing
  // Regular files: the number of opens by execve(2), a part of `opens`. The file is a program that
  // is running or is about to run.
  uint32_t executions ABSL_GUARDED_BY(mu) = 0;
  const PackedTime btime;
  bool dead ABSL_GUARDED_BY(mu) = false;
  // The inode was made by O_TMPFILE: it may get its first name although nlink is 0.
  bool linkable ABSL_GUARDED_BY(mu) = false;

 protected:
  ~Inode() override;

  // Takes over the times that the data store reports: the kernel changed the file by itself.
  void TakeBackingTimesLocked(const Times& times) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  friend class AttributeChanges;  // attribute_changes.h
  friend class LinkChanges;       // changes.cc

  // Returns the time stamp for a change at `now` (base::Now). Two threads may call this in a
  // different order than they got their times, and the kernel may have written since. In these
  // cases the result is the inode's ctime, which programs cannot set.
  Timestamp StampLocked(Timestamp now) const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return IsShortlyBefore(now, meta_.ctime) ? Timestamp(meta_.ctime) : now;
  }
  // Records that the inode changed at `now`: moves ctime.
  void ChangedLocked(Timestamp now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The attributes that the kernel has are valid: they were sent in a reply, and as far as the
  // daemon knows they have not changed since.
  bool kernel_attrs_valid_ ABSL_GUARDED_BY(mu) = false;
  std::atomic<uint32_t> flags_{0};
  std::atomic<Owner> owner_;
  AccountRef account_;  // see account()
  Metadata meta_ ABSL_GUARDED_BY(mu);
  std::unique_ptr<Xattrs> xattrs_ ABSL_GUARDED_BY(mu);  // null: none

 protected:
  Resources* const resources_;
};

class RegularFile : public Inode {
 public:
  RegularFile(Resources* resources, InodeNumber number, Timestamp born, Reservation charge)
      : Inode(resources, number, S_IFREG, born, std::move(charge)) {}

  CacheSeconds SyncFromBackingLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  CacheSeconds FirstValidity() const override { return data()->Validity(); }
  uint64_t size() const override { return data()->size(); }
  uint64_t blocks() const override { return data()->blocks(); }
  // Returns how many bytes the data takes now.
  uint64_t DataBytes() ABSL_LOCKS_EXCLUDED(mu);

  // The data has its own lock.
  virtual FileData* data() const = 0;
};

// A regular file whose FileData object lies in the same heap block. The constructor of Data takes
// the account of the file, and then `arguments`.
template <typename Data>
class FileOf final : public RegularFile {
 public:
  template <typename... Arguments>
  FileOf(Resources* resources, InodeNumber number, Timestamp born, Reservation charge,
         Arguments&&... arguments)
      : RegularFile(resources, number, born, std::move(charge)),
        data_(account(), std::forward<Arguments>(arguments)...) {}

  FileData* data() const override { return &data_; }

 private:
  mutable Data data_;
};

class Device final : public Inode {
 public:
  Device(Resources* resources, InodeNumber number, uint32_t file_type, uint32_t device,
         Timestamp born, Reservation charge)
      : Inode(resources, number, file_type, born, std::move(charge)), rdev_(device) {}

  uint32_t rdev() const override { return rdev_; }

 private:
  const uint32_t rdev_;
};

class Symlink final : public Inode {
 public:
  Symlink(Resources* resources, InodeNumber number, Timestamp born, Reservation charge,
          std::string_view path)
      : Inode(resources, number, S_IFLNK, born, std::move(charge)), target(path) {}

  uint64_t size() const override { return target.size(); }

  const std::string target;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_INODE_H_
