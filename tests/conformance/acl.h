// Access control lists as the bytes of system.posix_acl_access and system.posix_acl_default.

#ifndef MEMFUSE_TESTS_CONFORMANCE_ACL_H_
#define MEMFUSE_TESTS_CONFORMANCE_ACL_H_

#include <sys/types.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace memfuse::conformance {

inline constexpr char kAccess[] = "system.posix_acl_access";
inline constexpr char kDefault[] = "system.posix_acl_default";

// <linux/posix_acl.h>
enum AclTag : uint16_t {
  kUserObj = 0x01,
  kNamedUser = 0x02,
  kGroupObj = 0x04,
  kNamedGroup = 0x08,
  kMaskTag = 0x10,
  kOther = 0x20
};

struct AclEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;

  friend bool operator==(const AclEntry& a, const AclEntry& b) {
    return a.tag == b.tag && a.permissions == b.permissions && a.id == b.id;
  }
};
using AclEntries = std::vector<AclEntry>;

inline std::string AclBytes(const AclEntries& entries, uint32_t version = 2) {
  std::string bytes(reinterpret_cast<const char*>(&version), 4);
  for (const AclEntry& entry : entries) {
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  }
  return bytes;
}
static_assert(sizeof(AclEntry) == 8);

// Returns 0 or an errno.
inline int SetAclBytes(const std::string& path, const char* name, const std::string& bytes) {
  return lsetxattr(path.c_str(), name, bytes.data(), bytes.size(), 0) == 0 ? 0 : errno;
}
inline int SetAcl(const std::string& path, const char* name, const AclEntries& entries) {
  return SetAclBytes(path, name, AclBytes(entries));
}

// Empty if there is none.
inline AclEntries GetAcl(const std::string& path, const char* name) {
  char bytes[4096];
  const ssize_t size = lgetxattr(path.c_str(), name, bytes, sizeof(bytes));
  AclEntries entries;
  for (ssize_t at = 4; at + 8 <= size; at += 8) {
    AclEntry entry = {};
    std::memcpy(&entry, bytes + at, sizeof(entry));
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_ACL_H_
