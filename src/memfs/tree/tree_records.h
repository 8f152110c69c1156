// The records of the tree: what a successor has to know of inodes, names, extended attributes and
// rules of quotas, and the root of the record file. They lie in blocks of a record file
// (records/record_file.h). They change in transactions (records/transaction.h), except where a
// field says otherwise.
//
// A change of a struct in this file, of PackedTimes (times.h) or of Owner (account.h), or of their
// meaning, needs a new kLayoutVersion.
//
// A pointer in a record is valid only in the process that has written it. A successor replaces all
// of them before it uses any.

#ifndef MEMFUSE_SRC_MEMFS_TREE_TREE_RECORDS_H_
#define MEMFUSE_SRC_MEMFS_TREE_TREE_RECORDS_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "memfuse/quota.h"
#include "memfuse/types.h"
#include "src/memfs/records/layout.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/space/account.h"
#include "src/memfs/tree/times.h"

namespace memfuse::memfs {

class Inode;

inline constexpr auto kInodeKind = BlockKind{1};
inline constexpr auto kDentryKind = BlockKind{2};
inline constexpr auto kXattrKind = BlockKind{3};
// 4 and 5 are kinds of file data (data/data_records.h).
inline constexpr auto kQuotaKind = BlockKind{6};

// The attributes of an inode and the counts of what keeps it live. Guarded by Inode::mu as a whole.
struct InodeAttributes : PackedTimes {
  uint32_t nlink;
  uint64_t lookups;
  uint32_t opens;
  uint32_t write_opens;  // part of `opens`: opens for writing
  // Regular files: the number of opens by execve(2), a part of `opens`. The file is a program that
  // is running or is about to run.
  uint32_t executions;
  uint32_t flags;  // those of chattr(1): FS_*_FL; read without the lock as well
  Owner owner;     // read without the lock as well
  // The directory at the root of the tree to which the inode belongs (account.h), or kNoInode.
  uint64_t tree;
  uint16_t permissions;  // 07777
  // The inode was made by O_TMPFILE: it may get its first name although nlink is 0.
  bool linkable;
  uint8_t unused;
  uint32_t read_write_opens;  // part of `write_opens`: opens for reading and writing
};
static_assert(sizeof(InodeAttributes) == 88);

struct InodeRecord {
  BlockHeader header;
  uint64_t ino;
  PackedTime btime;
  uint16_t type;  // one of the values of S_IFMT
  union {
    // Symbolic links: the length of the target, which follows the record.
    uint16_t target_size;
    // Regular files of the daemon store: a DataChange in the low byte, and flags
    // (data/data_records.h). The lock of DaemonFile guards it. It changes without a transaction.
    uint16_t data_change;
  };
  InodeAttributes attributes;
  union {
    // Directories: the directory that ".." names. Guarded by the rename lock; read without it.
    uint64_t parent;
    uint64_t rdev;  // devices
    // Regular files of the daemon store and the null store: the size. It is read without a lock.
    // The daemon store changes it under the lock of DaemonFile, mostly without a transaction; the
    // null store changes it atomically.
    uint64_t size;
    // Regular files of the passthrough store: the last number under which the kernel knew the
    // backing file, or 0. It is valid while the file is open. PassthroughFile stores it, without a
    // transaction, before the first open is counted.
    int32_t backing_id;
  };

  // Empty unless the inode is a symbolic link.
  std::string_view target() const {
    const char* const begin = reinterpret_cast<const char*>(this) + sizeof(InodeRecord);
    return {begin, type == S_IFLNK ? size_t{target_size} : 0};
  }
};
static_assert(sizeof(InodeRecord) == 128);

// A record that no object owns yet.
struct RecordDeleter {
  RecordFile* records;
  void operator()(void* record) const noexcept { records->Free(record); }
};
using InodeRecordHolder = std::unique_ptr<InodeRecord, RecordDeleter>;

// The store that has the data of the files (ops/store_selection.h). The numbers are part of the
// layout.
enum class StoreKind : uint32_t { kNone = 0, kDaemon = 1, kPassthrough = 2, kNull = 3 };

// The numbers of backing files that are registered with the kernel although no file is open with
// them (data/backing_id_cache.h). A successor unregisters them. They change without a transaction.
// A number stays when a file is opened with it, and when it is unregistered: the kernel does not
// use a number again before it has used all others.
struct CachedBackingIds {
  static constexpr size_t kPlaces = 1024;
  static constexpr size_t kShards = 16;
  int32_t cached[kPlaces];   // 0: none
  int32_t closing[kShards];  // taken out of the cache, and not unregistered yet; 0: none
};

// The root of the record file (RecordFile::root).
struct RootRecord {
  static constexpr size_t kNumbers = 1024;  // the shards of the inode table

  // The value of Entry::generation. It distinguishes this file system from an earlier one at the
  // same place.
  uint64_t generation;
  // For each shard, how many inode numbers were assigned. They change without a transaction: a
  // number that was assigned and not used is skipped.
  uint64_t assigned[kNumbers];
  // The limits that were set last, in bytes and inodes. They change without a transaction, one
  // after the other.
  uint64_t size_limit;
  uint64_t inode_limit;
  // Written once, before there are files, without a transaction.
  StoreKind store;
  char huge[12];                 // the option huge= of the store, with a zero at the end
  CachedBackingIds backing_ids;  // of the passthrough store
};
static_assert(sizeof(RootRecord) <= kRootBytes);

// One name of an inode in a directory. It keeps the inode live (nlink), so its pointer is not
// counted as a reference. The lock of the names in the directory guards it.
struct Dentry {
  struct Target {
    Inode* inode;
    BlockId record;  // that of the inode
    uint8_t name_size;
    char name[3];  // the rest of the name follows the struct
  };

  BlockHeader header;  // owner: the record of the directory
  uint64_t cookie;     // see directory.h
  Target target;

  Inode* inode() const { return target.inode; }
  std::string_view name() const {
    return {reinterpret_cast<const char*>(this) + kNameOffset, target.name_size};
  }

  static constexpr size_t kNameOffset = 29;
  static constexpr size_t Bytes(size_t name_size) { return kNameOffset + name_size; }
};
static_assert(sizeof(Dentry) == 32 && Dentry::kNameOffset == 16 + offsetof(Dentry::Target, name));

// One extended attribute. Inode::mu guards it. The rest of the name and the value follow the
// struct.
struct XattrRecord {
  BlockHeader header;  // owner: the record of the inode
  uint32_t value_size;
  uint8_t name_size;
  char name_bytes[3];

  std::string_view name() const {
    return {reinterpret_cast<const char*>(this) + kNameOffset, name_size};
  }
  std::string_view value() const { return {name().data() + name_size, value_size}; }

  static constexpr size_t kNameOffset = 13;
  static constexpr size_t Bytes(size_t name_size, size_t value_size) {
    return kNameOffset + name_size + value_size;
  }
};
static_assert(sizeof(XattrRecord) == 16 &&
              offsetof(XattrRecord, name_bytes) == XattrRecord::kNameOffset);

// One rule of a quota. It has no owner.
struct QuotaRecord {
  struct Limits {
    int64_t id;  // uid, gid or inode number; -1 for a default
    uint64_t bytes;
    uint64_t inodes;
  };
  BlockHeader header;
  QuotaKind quota_kind;
  uint8_t unused[7];
  Limits limits;
};
static_assert(sizeof(QuotaRecord) == 40);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_TREE_RECORDS_H_
