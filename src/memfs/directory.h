// Directories: names in a hash table, and in the order of their cookies.
//
// A cookie is the position of an entry in a listing. A new entry gets a cookie larger than all that
// its directory has given out before, and cookies are never used again. A listing goes from the
// largest cookie down to the smallest (newest entry first, as on tmpfs). So an entry that exists
// all the time is delivered exactly once, and an entry that is made or renamed while a listing goes
// on lies behind its position: every listing ends. Offsets 0, 1 and 2 stand for the beginning, the
// place after "." and the place after "..".

#ifndef MEMFUSE_SRC_MEMFS_DIRECTORY_H_
#define MEMFUSE_SRC_MEMFS_DIRECTORY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/hash/hash.h"
#include "src/memfs/hash_table.h"
#include "src/memfs/inode.h"
#include "src/memfs/node_reserve.h"

namespace memfuse::memfs {

inline constexpr size_t kNameMax = 255;

// The smallest cookie of an entry; smaller offsets of a listing are those of "." and "..".
inline constexpr uint64_t kFirstCookie = 3;

// One name. The name's bytes follow the struct in the same heap block. A name keeps its inode live
// (nlink), so the pointer needs no count of its own.
struct Dentry {
  uint64_t cookie;
  Inode* inode;
  uint8_t name_size;

  std::string_view name() const {
    return {reinterpret_cast<const char*>(this) + sizeof(Dentry), name_size};
  }

  // What an entry is charged: its block, and its places in table and order.
  static uint64_t Cost(std::string_view name) {
    return (sizeof(Dentry) + name.size() + 15) / 16 * 16 + 32;
  }

  // name.size() <= kNameMax. Throws std::bad_alloc.
  static Dentry* New(std::string_view name, Inode* inode);
  static void Delete(Dentry* dentry) noexcept;
};

// A name that is in no directory yet.
struct DentryDeleter {
  void operator()(Dentry* dentry) const noexcept { Dentry::Delete(dentry); }
};
using DentryHolder = std::unique_ptr<Dentry, DentryDeleter>;

class Directory final : public Inode {
 public:
  Directory(Resources* resources, InodeNumber number, InodeNumber parent, Timestamp born,
            Reservation charge)
      : Inode(resources, number, S_IFDIR, born, std::move(charge)), parent_(ToInt(parent)) {}

  // What tmpfs shows: 40 bytes, and 20 for each entry.
  uint64_t size() const override { return 40 + 20 * entry_count_.load(std::memory_order_relaxed); }

  // Where ".." leads. It changes in a rename between two parents only, under the rename lock.
  InodeNumber parent() const { return InodeNumber{parent_.load(std::memory_order_relaxed)}; }
  void set_parent(InodeNumber parent) { parent_.store(ToInt(parent), std::memory_order_relaxed); }

  // nullptr if there is none.
  Dentry* Find(std::string_view name) const ABSL_SHARED_LOCKS_REQUIRED(names_mu);
  // Precondition: no such name. Gives the entry its cookie and owns it, and its charge, from here
  // on. Throws std::bad_alloc, and nothing is changed then.
  void Insert(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);
  // Frees the entry and what it was charged.
  void Erase(Dentry* dentry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(names_mu);
  // The entry with the largest cookie below `cookie`, or nullptr.
  const Dentry* Before(uint64_t cookie) const ABSL_SHARED_LOCKS_REQUIRED(names_mu);
  bool empty() const ABSL_SHARED_LOCKS_REQUIRED(names_mu) { return by_name_.empty(); }

  // Drops all entries; for the end of the file system only.
  void Clear() ABSL_LOCKS_EXCLUDED(names_mu);

  // Rank directory.
  mutable DirectoryMutex names_mu;
  // rmdir'd or replaced: takes no entries any more.
  bool removed ABSL_GUARDED_BY(names_mu) = false;

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

  std::atomic<uint64_t> parent_;
  std::atomic<uint64_t> entry_count_{0};  // written under names_mu, read by stat without it
  GrowSafeHashSet<Dentry*, NameHash, NameEq> by_name_ ABSL_GUARDED_BY(names_mu);
  absl::btree_set<Dentry*, CookieLess, NodeAllocator<Dentry*>> by_cookie_ ABSL_GUARDED_BY(names_mu);
  uint64_t next_cookie_ ABSL_GUARDED_BY(names_mu) = kFirstCookie;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DIRECTORY_H_
