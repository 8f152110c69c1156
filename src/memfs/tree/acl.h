// POSIX.1e access control lists, in the binary form of the system.posix_acl_* attributes.
//
// The kernel evaluates the lists (default_permissions, FUSE_POSIX_ACL). The file system keeps the
// mode bits and the access ACL consistent with each other, and it gives the default ACL of a
// directory to the inodes that are created in it (acl(5)).

#ifndef MEMFUSE_SRC_MEMFS_TREE_ACL_H_
#define MEMFUSE_SRC_MEMFS_TREE_ACL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"

namespace memfuse::memfs {

class Acl {
 public:
  // Returns EINVAL if the bytes are not a valid list: a wrong size, order, tag or permission; a
  // missing or repeated entry; or named entries without a mask (acl_valid(3)). Returns EOPNOTSUPP
  // for an unknown version.
  static Result<Acl> Parse(std::string_view bytes);

  std::string Serialize() const;

  // True if the list has only the three entries that nine mode bits can express.
  bool EquivalentToMode() const { return entries_.size() == 3; }
  // Returns the mode bits (0777) that represent this list. If the list has a mask, the group bits
  // are the mask's.
  uint32_t Mode() const;
  // Applies chmod(2) to `bytes`, a list in the binary form that Parse accepts: the owner, the mask
  // (or the group, if there is no mask) and the other entry get the bits of `mode`. The size of the
  // list does not change. Calls `save` with each part of `bytes` before it changes the part. The
  // function allocates nothing and cannot fail.
  static void SetMode(uint32_t mode, absl::Span<char> bytes,
                      absl::FunctionRef<void(absl::Span<const char> part)> save);
  // Turns the default ACL of a parent directory into the access ACL of a new inode: permissions
  // that are missing from `mode`, the mode of the creating call, are removed from the entries.
  void RestrictTo(uint32_t mode);

 private:
  struct Entry {
    uint16_t tag;
    uint16_t permissions;
    uint32_t id;
  };
  Entry* Find(uint16_t tag);
  const Entry* Find(uint16_t tag) const { return const_cast<Acl*>(this)->Find(tag); }

  std::vector<Entry> entries_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_ACL_H_
