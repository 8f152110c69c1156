// The extended attributes of one inode: names and values in blocks of the record file, charged to
// its account.

#ifndef MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_
#define MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_set.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/records/transaction.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/node_reserve.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";
inline constexpr std::string_view kCapabilityName = "security.capability";

inline bool IsAclName(std::string_view name) {
  return name == kAccessAclName || name == kDefaultAclName;
}

// Not thread-safe: the attribute lock of the inode guards it. The attributes of an inode that is
// not permanent yet are not permanent either: their blocks have no kind until Publish.
class Xattrs {
 public:
  // `owner` is the record of the inode. The account must outlive the object, or set_account must be
  // called before it ends.
  Xattrs(RecordFile* records, Account* account, BlockId owner)
      : records_(*records), account_(account), owner_(owner) {}
  ~Xattrs();
  Xattrs(const Xattrs&) = delete;
  Xattrs& operator=(const Xattrs&) = delete;

  // `flags` are those of setxattr(2). `change` is null if the inode is not permanent yet. Returns
  // EEXIST, ENODATA, EDQUOT or ENOSPC; throws std::bad_alloc. Nothing is changed if it fails. The
  // caller must commit `change` after a success.
  Result<void> Set(Transaction* change, std::string_view name, absl::Span<const char> value,
                   uint32_t flags);
  // Adds an attribute that another process has left, and charges it. Returns EDQUOT or ENOSPC;
  // throws std::bad_alloc.
  Result<void> Adopt(XattrRecord* xattr);
  // Returns nullopt if there is no such attribute. The value is valid until it is changed.
  std::optional<std::string_view> Find(std::string_view name) const;
  // Returns whether the attribute existed. The caller must commit `change`.
  bool Remove(Transaction* change, std::string_view name);
  // Applies Acl::SetMode to the access ACL, if there is one.
  void SetAclMode(Transaction* change, uint32_t permissions);
  // Makes all attributes permanent, together with their inode.
  void Publish(Transaction* change);
  // Returns the names, each followed by a NUL. Names that begin with "trusted." are included only
  // if `with_trusted` is set. The list ends with the name that makes it longer than XATTR_LIST_MAX:
  // the kernel accepts no more, and answers listxattr(2) with E2BIG.
  std::string List(bool with_trusted) const;

  // Whether any name begins with "trusted.".
  bool HasTrusted() const;

  bool empty() const { return set_.empty(); }

  // What all attributes together are charged.
  uint64_t TotalCost() const;
  // Sets the account of the charges from now on. The caller has moved the charge of TotalCost().
  void set_account(Account* account) { account_ = account; }

 private:
  struct NameLess {
    using is_transparent = void;
    static std::string_view Name(std::string_view name) { return name; }
    static std::string_view Name(const XattrRecord* xattr) { return xattr->name(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Name(a) < Name(b);
    }
  };

  // The block of an entry, and its place in the set, rounded up.
  static uint64_t Cost(std::string_view name, size_t value_size) {
    return 16 + RecordFile::BlockBytes(XattrRecord::Bytes(name.size(), value_size));
  }

  RecordFile& records_;
  Account* account_;
  const BlockId owner_;
  absl::btree_set<XattrRecord*, NameLess, NodeAllocator<XattrRecord*>> set_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_XATTRS_H_
