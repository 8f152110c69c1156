// Extended attributes of one inode: names and values, charged to the budget.

#ifndef MEMFUSE_SRC_MEMFS_XATTRS_H_
#define MEMFUSE_SRC_MEMFS_XATTRS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "src/memfs/budget.h"
#include "src/memfs/node_reserve.h"

namespace memfuse::memfs {

inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";
inline constexpr std::string_view kCapabilityName = "security.capability";

// Not thread-safe: guarded by its inode's attribute lock.
class Xattrs {
 public:
  explicit Xattrs(Budget* budget) : budget_(budget) {}
  ~Xattrs();
  Xattrs(const Xattrs&) = delete;
  Xattrs& operator=(const Xattrs&) = delete;

  // `flags` as for setxattr(2). EEXIST, ENODATA, ENOSPC; throws std::bad_alloc. Nothing is changed
  // where it fails.
  Result<void> Set(std::string_view name, absl::Span<const char> value, uint32_t flags);
  // nullptr if there is none.
  const std::string* Find(std::string_view name) const;
  // For changes that keep the size. nullptr if there is none.
  std::string* Find(std::string_view name);
  // Whether there was one.
  bool Remove(std::string_view name);
  // The names, each followed by a NUL; "trusted." ones only on request. Ends with the name that
  // makes the list longer than XATTR_LIST_MAX: the kernel takes no more, and answers listxattr(2)
  // with E2BIG.
  std::string List(bool with_trusted) const;

  // Whether a name begins with "trusted.".
  bool HasTrusted() const;

  bool empty() const { return map_.empty(); }

 private:
  // Heap blocks and map slot of an entry, rounded up.
  static uint64_t Cost(std::string_view name, size_t value_size) {
    return 96 + name.size() + value_size;
  }

  Budget* const budget_;
  absl::btree_map<std::string, std::string, std::less<>,
                  NodeAllocator<std::pair<const std::string, std::string>>>
      map_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_XATTRS_H_
