// The extended attributes of one inode: names and values, charged to its account.

#ifndef MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_
#define MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/node_reserve.h"

namespace memfuse::memfs {

inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";
inline constexpr std::string_view kCapabilityName = "security.capability";

inline bool IsAclName(std::string_view name) {
  return name == kAccessAclName || name == kDefaultAclName;
}

// Not thread-safe: the attribute lock of the inode guards it.
class Xattrs {
 public:
  // The account must outlive the object, or set_account must be called before it ends.
  explicit Xattrs(Account* account) : account_(account) {}
  ~Xattrs();
  Xattrs(const Xattrs&) = delete;
  Xattrs& operator=(const Xattrs&) = delete;

  // `flags` are those of setxattr(2). Returns EEXIST, ENODATA, EDQUOT or ENOSPC; throws
  // std::bad_alloc. Nothing is changed if it fails.
  Result<void> Set(std::string_view name, absl::Span<const char> value, uint32_t flags);
  // Returns nullptr if there is no such attribute.
  const std::string* Find(std::string_view name) const;
  // The same, for changes of the value that keep its size.
  std::string* Find(std::string_view name);
  // Returns whether the attribute existed.
  bool Remove(std::string_view name);
  // Returns the names, each followed by a NUL. Names that begin with "trusted." are included only
  // if `with_trusted` is set. The list ends with the name that makes it longer than XATTR_LIST_MAX:
  // the kernel accepts no more, and answers listxattr(2) with E2BIG.
  std::string List(bool with_trusted) const;

  // Whether any name begins with "trusted.".
  bool HasTrusted() const;

  bool empty() const { return map_.empty(); }

  // What all attributes together are charged.
  uint64_t TotalCost() const;
  // Sets the account of the charges from now on. The caller has moved the charge of TotalCost().
  void set_account(Account* account) { account_ = account; }

 private:
  // The size of the heap blocks and the map slot of an entry, rounded up.
  static uint64_t Cost(std::string_view name, size_t value_size) {
    return 96 + name.size() + value_size;
  }

  Account* account_;
  absl::btree_map<std::string, std::string, std::less<>,
                  NodeAllocator<std::pair<const std::string, std::string>>>
      map_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_
