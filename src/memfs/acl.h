// POSIX.1e access control lists, in the binary form of the system.posix_acl_* attributes.
//
// The kernel evaluates them (default_permissions, FUSE_POSIX_ACL); what is left to the file system
// is to keep mode bits and access ACL in step, and to hand default ACLs down (acl(5)).

#ifndef MEMFUSE_SRC_MEMFS_ACL_H_
#define MEMFUSE_SRC_MEMFS_ACL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/errno.h"

namespace memfuse::memfs {

class Acl {
 public:
  // EINVAL where the bytes are no valid list: version, order, tags, missing or repeated entries, no
  // mask beside named entries (acl_valid(3)). EOPNOTSUPP for an unknown version.
  static Result<Acl> Parse(std::string_view bytes);

  std::string Serialize() const;

  // The list says no more than nine mode bits do.
  bool EquivalentToMode() const { return entries_.size() == 3; }
  // Mode bits (0777) that stand for this list: the mask takes the place of the group.
  uint32_t Mode() const;
  // chmod(2), of a list in binary form that Parse takes: owner, mask (or group) and other get these
  // bits. It keeps its size; nothing is allocated, so it cannot fail.
  static void SetMode(uint32_t mode, absl::Span<char> bytes);
  // A new inode's access ACL from its parent's default ACL: entries are cut to what the creator
  // asked for.
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

#endif  // MEMFUSE_SRC_MEMFS_ACL_H_
