// Quotas: limits on what one user, one group, or one directory tree stores in a file system.

#ifndef MEMFUSE_QUOTA_H_
#define MEMFUSE_QUOTA_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "memfuse/types.h"

namespace memfuse {

// kTree: a directory and everything below it, except for the trees inside it that have a quota of
// their own.
enum class QuotaKind : uint8_t { kUser, kGroup, kTree };

// The value of a limit that does not exist.
inline constexpr uint64_t kNoQuota = std::numeric_limits<uint64_t>::max();

// Limits for one user or group; or, without an ID, for each user or group that has no rule of its
// own, except for ID 0. A rule for one user or group replaces the default as a whole. A rule for a
// tree names the directory by its path.
struct QuotaRule {
  QuotaKind kind = QuotaKind::kUser;
  // uid or gid; the inode number of the directory in rules that the file system returns.
  std::optional<uint64_t> id;
  // In bytes and inodes. kNoQuota: no limit.
  uint64_t bytes = kNoQuota;
  uint64_t inodes = kNoQuota;
  // Trees: from the root of the file system, such as "/builds/arm".
  std::string path = {};
};

// What one user, group or tree stores: data, inodes, names and extended attributes.
struct QuotaUsage {
  QuotaKind kind = QuotaKind::kUser;
  uint64_t id = 0;  // uid, gid, or the inode number of the directory
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  // kNoQuota: no limit. A limit may be below the usage if it was set later.
  uint64_t byte_limit = kNoQuota;
  uint64_t inode_limit = kNoQuota;
  // Trees: as in QuotaRule. Empty if the directory is removed and files of the tree are still open.
  std::string path = {};
};

// Operations that were refused because of one limit: ENOSPC or EDQUOT. They are counted together.
struct Refusal {
  enum class Limit : uint8_t { kBytes, kInodes };
  // kMemory: the ceiling of MemoryFileSystem::SetCeiling, or the limit of the file system while
  // there is a ceiling below it.
  enum class Owner : uint8_t { kFileSystem, kUser, kGroup, kTree, kMemory };

  Limit limit = Limit::kBytes;
  Owner owner = Owner::kFileSystem;
  uint64_t id = 0;     // as in QuotaUsage
  uint64_t count = 0;  // since the file system was made
  // Of the last one: what it asked for and what was left, in bytes or inodes; the process that
  // called, 0 where the kernel does not tell; and its user, nullopt where the kernel does not tell
  // (RequestContext::uid).
  uint64_t asked = 0;
  uint64_t left = 0;
  uint32_t pid = 0;
  std::optional<uint32_t> uid;
  Timestamp time;
  std::string path = {};  // as in QuotaUsage
};

// How many limits are remembered as having refused something.
inline constexpr size_t kMaxRefusals = 32;

}  // namespace memfuse

#endif  // MEMFUSE_QUOTA_H_
