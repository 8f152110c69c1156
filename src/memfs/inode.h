// Inodes: what every file has, and what the types add.
//
// Lifetime. The inode table holds one count on every inode that is *live*: that has names (nlink),
// lookups or opens. When the last of these goes, the inode is marked dead under its lock and leaves
// the table; nothing makes a dead inode live again. Who uses an inode holds a count for as long, or
// a lock that keeps a name of it in place.

#ifndef MEMFUSE_SRC_MEMFS_INODE_H_
#define MEMFUSE_SRC_MEMFS_INODE_H_

#include <linux/fs.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "memfuse/filesystem.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/budget.h"
#include "src/memfs/data_store.h"
#include "src/memfs/file_data.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/removed_inodes.h"
#include "src/memfs/times.h"
#include "src/memfs/xattrs.h"

namespace memfuse::memfs {

// What inodes draw from; outlives them all.
struct Resources {
  Resources(uint64_t byte_limit, uint64_t inode_limit) : budget(byte_limit, inode_limit) {}
  Budget budget;
  RemovedInodes removed;             // own synchronisation
  std::unique_ptr<DataStore> store;  // constant from the first request on
};

// Mode, owner and times of an inode, as they are changed together.
struct Metadata : PackedTimes {
  Metadata() = default;
  Metadata(Timestamp now, uint32_t mode, uint32_t owner, uint32_t group, uint32_t links)
      : PackedTimes(Times{now, now, now}),
        permissions(mode),
        uid(owner),
        gid(group),
        nlink(links) {}

  uint32_t permissions = 0;  // 07777
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
};

// FS_*_FL that may be set, and those of them that new inodes take from their directory; as on
// tmpfs.
inline constexpr uint32_t kSettableFlags =
    FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
inline constexpr uint32_t kInheritedFlags = FS_NODUMP_FL | FS_NOATIME_FL;

class Inode : public base::RefCounted {
 public:
  // `file_type` is one of S_IFMT. `charge` is what the inode takes of the budget, less than 64 KiB;
  // the inode holds it from here on, also where the constructor of a derived class throws.
  Inode(Resources* resources, InodeNumber number, uint32_t file_type, Timestamp born,
        Reservation charge)
      : type(static_cast<uint16_t>(file_type)),
        cost_(static_cast<uint16_t>(charge.Keep())),
        ino(number),
        btime(born),
        resources_(resources) {}

  // Brings size, blocks and times up to date with what happened without a call, and returns how
  // long they stay right. Before any of them is looked at or changed.
  virtual CacheSeconds SyncFromBackingLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return kCacheForever;
  }

  // The stamp of a change at `now` (base::Now). Two threads may get here in the other order than
  // they got the time, and the kernel may have written since: then it is ctime, which no program
  // chooses.
  Timestamp StampLocked(Timestamp now) const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return IsShortlyBefore(now, meta.ctime) ? Timestamp(meta.ctime) : now;
  }
  // Something about the inode changed, at `now`: ctime moves.
  void ChangedLocked(Timestamp now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // How long what was known of it a moment ago stays right.
  virtual CacheSeconds FirstValidity() const { return kCacheForever; }

  virtual uint64_t size() const { return 0; }
  virtual uint64_t blocks() const { return 0; }
  virtual uint32_t rdev() const { return 0; }

  bool is_directory() const { return type == S_IFDIR; }
  bool is_regular() const { return type == S_IFREG; }

  // The flags of chattr(1).
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(uint32_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  bool immutable() const { return (flags() & FS_IMMUTABLE_FL) != 0; }
  bool append_only() const { return (flags() & FS_APPEND_FL) != 0; }
  // Either forbids to change attributes, to add links and to take names away.
  bool fixed() const { return (flags() & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0; }

  // What the kernel is told, in one step or two.
  AttributesResult AttributesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const CacheSeconds valid = SyncFromBackingLocked();
    // Through an open file the kernel changes them.
    kernel_attrs_valid = valid != 0 && opens == 0;
    return {KnownAttributesLocked(), valid};
  }
  Attributes KnownAttributesLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Whether the kernel knows the inode, and its attributes as they are: a guess, of what to tell it
  // unasked. Where it is wrong the kernel asks.
  bool IsKnownToKernelLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
    // With several names the lookup may be of another one.
    return kernel_attrs_valid && lookups != 0 && (meta.nlink == 1 || is_directory());
  }
  // AttributesLocked as an answer to LOOKUP and its kin; counts the lookup.
  Entry AddLookupLocked(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Of an inode that nobody but its maker knows: what it was made with is right.
  Entry AddFirstLookupLocked(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // For each open(2) that succeeds, and its release. A release without an open is ignored.
  void AddOpenLocked(uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void RemoveOpenLocked(uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // True once, when nothing keeps the inode any more: the caller takes it out of the table, without
  // locks.
  [[nodiscard]] bool MarkDeadIfUnusedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The last name or the last open went. If only the kernel still knows the inode, it counts as
  // removed (removed_inodes.h) until it is destroyed, or named or opened again.
  void NoteRemovedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // It does not count as removed any more.
  void EndRemovedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void EndRemoved() ABSL_LOCKS_EXCLUDED(mu);

  // As Xattrs::Set.
  Result<void> SetXattrLocked(std::string_view name, absl::Span<const char> value, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void RemoveXattrLocked(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The data changed, or the owner: capabilities go, and set-id bits where `kill_suidgid`
  // (S_ISGID only where the group may execute; elsewhere it meant mandatory locking). Reports
  // whether set-id bits went.
  bool KillPrivilegesLocked(bool kill_suidgid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Sorted by size, the small ones where others leave gaps: there may be millions of these.
  const uint16_t type;  // beside the count of references

 private:
  const uint16_t cost_;

 public:
  const InodeNumber ino;
  mutable AttributeMutex mu;
  Metadata meta ABSL_GUARDED_BY(mu);
  const PackedTime btime;
  uint64_t lookups ABSL_GUARDED_BY(mu) = 0;
  RemovedInodes::Ticket removal ABSL_GUARDED_BY(mu);   // false: it does not count as removed
  std::unique_ptr<Xattrs> xattrs ABSL_GUARDED_BY(mu);  // null: none
  uint32_t opens ABSL_GUARDED_BY(mu) = 0;
  uint32_t write_opens ABSL_GUARDED_BY(mu) = 0;  // part of `opens`: for writing
  // Of regular files: opens by execve(2), part of `opens`. It is a program that runs, or is about
  // to.
  uint32_t executions ABSL_GUARDED_BY(mu) = 0;
  bool dead ABSL_GUARDED_BY(mu) = false;
  // Made by O_TMPFILE: may be given its first name although nlink is 0.
  bool linkable ABSL_GUARDED_BY(mu) = false;
  // The kernel was told the attributes, and as far as is known nothing has changed them since.
  bool kernel_attrs_valid ABSL_GUARDED_BY(mu) = false;

 private:
  std::atomic<uint32_t> flags_{0};

 protected:
  ~Inode() override;

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

  // Its own lock guards it.
  virtual FileData* data() const = 0;

 private:
  // What the store says the times are.
  void TakeTimesLocked(const Times& times) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

// A file with its data in the same heap block.
template <typename Data>
class FileOf final : public RegularFile {
 public:
  template <typename... Arguments>
  FileOf(Resources* resources, InodeNumber number, Timestamp born, Reservation charge,
         Arguments&&... arguments)
      : RegularFile(resources, number, born, std::move(charge)),
        data_(std::forward<Arguments>(arguments)...) {}

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

#endif  // MEMFUSE_SRC_MEMFS_INODE_H_
