// Amounts in the syntax of the mount options of tmpfs: 4096, 64k, 2G, 50%.

#ifndef MEMFUSE_SRC_CLI_SIZE_H_
#define MEMFUSE_SRC_CLI_SIZE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

inline constexpr uint64_t kPageSize = 4096;

// The largest --size: the address space of a process on x86-64 and arm64. More cannot be stored.
inline constexpr uint64_t kMaxSize = uint64_t{1} << 47;

// The value of --nr_inodes=0: more inodes than any memory can hold, but small enough that programs
// such as df can add such numbers.
inline constexpr uint64_t kUnlimitedInodes = uint64_t{1} << 40;

// Bytes, or a count of k, m, g, t, p or e (powers of 1024, either case), or a percentage of
// `memory` (Machine::memory); numbers as in number.h; rounded up to whole pages of 4 KiB. 0 and 0%
// mean all of `memory`. On tmpfs they mean "unlimited"; without a limit, the kernel would kill the
// daemon before a write fails with ENOSPC. InvalidArgument, with a sentence that quotes `text`: not
// such an amount, or above kMaxSize.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text, uint64_t memory);

// The bytes of a count of pages of 4 KiB, with k, m, g or t as above. InvalidArgument: not a count,
// or above kMaxSize.
absl::StatusOr<uint64_t> ParseBlockCount(absl::string_view text);

// A warning if the cgroup's limit has no room for a --size of `bytes`; no value otherwise.
std::optional<std::string> WarnOfSize(uint64_t bytes, std::optional<uint64_t> cgroup_limit);

// Text for users: "4.0 GiB", "1.5 MiB", "4.0 KiB"; rounded down.
std::string FormatSize(uint64_t bytes);

// A count, with k, m, g or t as above; 0 means kUnlimitedInodes. InvalidArgument: not a count, or
// above kUnlimitedInodes.
absl::StatusOr<uint64_t> ParseInodeCount(absl::string_view text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SIZE_H_
