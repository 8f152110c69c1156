// Quotas: limits on what one user or one group stores in a file system.

#ifndef MEMFUSE_QUOTA_H_
#define MEMFUSE_QUOTA_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "memfuse/types.h"

namespace memfuse {

enum class QuotaKind : uint8_t { kUser, kGroup };

// The value of a limit that does not exist.
inline constexpr uint64_t kNoQuota = std::numeric_limits<uint64_t>::max();

// Limits for one user or group; or, without an ID, for each user or group that has no rule of its
// own, except for ID 0. A rule for one user or group replaces the default as a whole.
struct QuotaRule {
  QuotaKind kind = QuotaKind::kUser;
  std::optional<uint32_t> id;
  // In bytes and inodes. kNoQuota: no limit.
  uint64_t bytes = kNoQuota;
  uint64_t inodes = kNoQuota;
};

// What one user or group stores: data, inodes, names and extended attributes.
struct QuotaUsage {
  QuotaKind kind = QuotaKind::kUser;
  uint32_t id = 0;
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  // kNoQuota: no limit. A limit may be below the usage if it was set later.
  uint64_t byte_limit = kNoQuota;
  uint64_t inode_limit = kNoQuota;
};

// Operations that were refused because of one limit: ENOSPC or EDQUOT. They are counted together.
struct Refusal {
  enum class Limit : uint8_t { kBytes, kInodes };
  // kMemory: the ceiling of MemoryFileSystem::SetCeiling, or the limit of the file system while
  // there is a ceiling below it.
  enum class Owner : uint8_t { kFileSystem, kUser, kGroup, kMemory };

  Limit limit = Limit::kBytes;
  Owner owner = Owner::kFileSystem;
  uint32_t id = 0;     // of the user or the group
  uint64_t count = 0;  // since the file system was made
  // Of the last one: what it asked for and what was left, in bytes or inodes; the process and the
  // user that called, 0 where the kernel does not tell.
  uint64_t asked = 0;
  uint64_t left = 0;
  uint32_t pid = 0;
  uint32_t uid = 0;
  Timestamp time;
};

// How many limits are remembered as having refused something.
inline constexpr size_t kMaxRefusals = 32;

}  // namespace memfuse

#endif  // MEMFUSE_QUOTA_H_
