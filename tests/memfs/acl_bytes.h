// ACLs in the binary form of the system.posix_acl_* attributes.

#ifndef MEMFUSE_TESTS_MEMFS_ACL_BYTES_H_
#define MEMFUSE_TESTS_MEMFS_ACL_BYTES_H_

#include <cstdint>
#include <initializer_list>
#include <string>

namespace memfuse::memfs {

// Tags of <linux/posix_acl.h>.
enum AclTag : uint16_t {
  kAclUserObj = 1,
  kAclUser = 2,
  kAclGroupObj = 4,
  kAclGroup = 8,
  kAclMask = 16,
  kAclOther = 32,
};

struct AclEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;
};

// Little-endian, as the kernel wants it on every machine.
inline std::string AclBytes(std::initializer_list<AclEntry> entries, uint32_t version = 2) {
  std::string bytes;
  const auto append = [&bytes](uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  append(version, 4);
  for (const AclEntry& entry : entries) {
    append(entry.tag, 2);
    append(entry.permissions, 2);
    append(entry.id, 4);
  }
  return bytes;
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_ACL_BYTES_H_
