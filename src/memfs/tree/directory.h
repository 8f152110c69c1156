// Directories: names in a hash table, and in the order of their cookies.
//
// A cookie is the position of an entry in a listing. A new entry gets a cookie that is larger than
// all cookies that its directory has assigned before, and cookies are never reused. A listing goes
// from the largest cookie down to the smallest (the newest entry first, as on tmpfs). An entry that
// exists during the whole listing is therefore returned exactly once. An entry that is created or
// renamed during a listing lies behind the listing's position, so every listing ends. The offsets
// 0, 1 and 2 represent the beginning, the place after "." and the place after "..".

#ifndef MEMFUSE_SRC_MEMFS_TREE_DIRECTORY_H_
#define MEMFUSE_SRC_MEMFS_TREE_DIRECTORY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/hash/hash.h"
#include "src/memfs/space/hash_table.h"
#include "src/memfs/space/node_reserve.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

inline constexpr size_t kNameMax = 255;

// The smallest cookie of an entry. Smaller offsets in a listing belong to "." and "..".
inline constexpr uint64_t kFirstCookie = 3;

// What an entry is charged: its block, and its places in the hash table and in the order of
// cookies.
inline uint64_t DentryCost(std::string_view name) {
  return RecordFile::BlockBytes(Dentry::Bytes(name.size())) + 32;
}

// A name that is not in a directory yet.
using DentryHolder = std::unique_ptr<Dentry, RecordDeleter>;

// name.size() <= kNameMax. Throws std::bad_alloc.
DentryHolder NewDentry(RecordFile* records, std::string_view name, Inode* inode);

class Directory final : public Inode {
 public:
  // The record has the number of the parent directory.
  using Inode::Inode;

  // The size that tmpfs reports: 40 bytes, and 20 bytes for each entry.
  uint64_t size() const override { return 40 + 20 * entry_count_.load(std::memory_order_relaxed); }

  // The directory that ".." names. It changes only in a rename between two parents, under the
  // rename lock.
  InodeNumber parent() const {
    return InodeNumber{__atomic_load_n(&record()->parent, __ATOMIC_RELAXED)};
  }
  void SetParent(Transaction* change, InodeNumber parent) {
    __atomic_store_n(change->Edit(&record()->parent), ToInt(parent), __ATOMIC_RELAXED);
  }

  // Returns nullptr if there is no such name.
  Dentry* Find(std::string_view name) const ABSL_SHARED_LOCKS_REQUIRED(names_mu);
  // Precondition: the directory has no entry with this name, and the entry is charged to the
  // account of the directory. Assigns a cookie to the entry. From then on the directory owns the
  // entry and its charge. Throws std::bad_alloc, and nothing is
  // changed then.
  void Insert(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);
  // Adds an entry that another process has left, with its cookie, and charges it. The entries that
  // were removed are not known, so new cookies begin kCookieStep above those of all entries that
  // were adopted. Returns EDQUOT or ENOSPC; throws std::bad_alloc.
  Result<void> Adopt(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);
  // Removes the entry from the tables and releases its charge. The caller removes the block in its
  // transaction.
  void Erase(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);
  // Returns the entry with the largest cookie below `cookie`, or nullptr.
  const Dentry* Before(uint64_t cookie) const ABSL_SHARED_LOCKS_REQUIRED(names_mu);
  bool empty() const ABSL_SHARED_LOCKS_REQUIRED(names_mu) { return by_name_.empty(); }
  // What all entries together are charged.
  uint64_t names_cost() const ABSL_SHARED_LOCKS_REQUIRED(names_mu) { return names_cost_; }

  // Drops all entries. It is called when the directory is destroyed.
  void Clear() ABSL_LOCKS_EXCLUDED(names_mu);

  // The lock of rank directory.
  mutable DirectoryMutex names_mu;
  // The directory was removed by rmdir(2) or replaced by rename(2); no entry can be added any more.
  bool removed ABSL_GUARDED_BY(names_mu) = false;

  static constexpr uint64_t kCookieStep = 1 << 20;

 private:
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return absl::Hash<std::string_view>()(name); }
    size_t operator()(const Dentry* d) const { return (*this)(d->name()); }
  };
  struct NameEq {
    using is_transparent = void;
    static std::string_view Name(std::string_view name) { return name; }
    static std::string_view Name(const Dentry* d) { return d->name(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Name(a) == Name(b);
    }
  };
  struct CookieLess {
    using is_transparent = void;
    static uint64_t Cookie(uint64_t cookie) { return cookie; }
    static uint64_t Cookie(const Dentry* d) { return d->cookie; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Cookie(a) < Cookie(b);
    }
  };

  ~Directory() override;

  // Throws std::bad_alloc, and nothing is changed then.
  void AddToTables(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);

  // written under names_mu; stat(2) reads it without names_mu
  std::atomic<uint64_t> entry_count_{0};
  GrowSafeHashSet<Dentry*, NameHash, NameEq> by_name_ ABSL_GUARDED_BY(names_mu);
  absl::btree_set<Dentry*, CookieLess, NodeAllocator<Dentry*>> by_cookie_ ABSL_GUARDED_BY(names_mu);
  uint64_t next_cookie_ ABSL_GUARDED_BY(names_mu) = kFirstCookie;
  uint64_t names_cost_ ABSL_GUARDED_BY(names_mu) = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_DIRECTORY_H_
