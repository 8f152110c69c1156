// Amounts as tmpfs's mount options write them: 4096, 64k, 2G, 50%.

#ifndef MEMFUSE_SRC_CLI_SIZE_H_
#define MEMFUSE_SRC_CLI_SIZE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// The largest --size: what a process can address on x86-64 and arm64. Nothing larger can be kept.
inline constexpr uint64_t kMaxSize = uint64_t{1} << 47;

// What --nr_inodes=0 stands for: more inodes than any memory holds, and still a number that df and
// its kin can add up.
inline constexpr uint64_t kUnlimitedInodes = uint64_t{1} << 40;

// Bytes, or a count of k, m, g, t, p or e (powers of 1024, either case), or a percentage of
// `memory` (Machine::memory); numbers as in number.h; rounded up to whole pages of 4 KiB. 0 and 0%
// mean all of `memory`: tmpfs takes them as "unlimited", which for a daemon would only mean to be
// killed instead of saying ENOSPC. InvalidArgument, with a sentence that quotes `text`: not such an
// amount, or above kMaxSize.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text, uint64_t memory);

// The bytes of a count of pages of 4 KiB, with k, m, g or t as above. InvalidArgument: no such
// count, or above kMaxSize.
absl::StatusOr<uint64_t> ParseBlockCount(absl::string_view text);

// A sentence about a --size of `bytes` that the cgroup's limit does not leave room for; nothing
// where it does.
std::optional<std::string> WarnOfSize(uint64_t bytes, std::optional<uint64_t> cgroup_limit);

// To be read by people: "4.0 GiB", "1.5 MiB", "4.0 KiB"; rounded down.
std::string FormatSize(uint64_t bytes);

// A count, with k, m, g or t as above; 0 means kUnlimitedInodes. InvalidArgument: no such count,
// or above kUnlimitedInodes.
absl::StatusOr<uint64_t> ParseInodeCount(absl::string_view text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SIZE_H_
