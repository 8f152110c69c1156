// Quotas: limits on what one user or one group stores in a file system.

#ifndef MEMFUSE_QUOTA_H_
#define MEMFUSE_QUOTA_H_

#include <cstdint>
#include <limits>
#include <optional>

namespace memfuse {

enum class QuotaKind : uint8_t { kUser, kGroup };

// The value of a limit that does not exist.
inline constexpr uint64_t kNoQuota = std::numeric_limits<uint64_t>::max();

// Limits for one user or group; or, without an ID, for each user or group that has no rule of its
// own, except for ID 0.
struct QuotaRule {
  QuotaKind kind = QuotaKind::kUser;
  std::optional<uint32_t> id;
  // In bytes and inodes. With kNoQuota in both, the rule does not exist.
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

}  // namespace memfuse

#endif  // MEMFUSE_QUOTA_H_
