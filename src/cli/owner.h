// Users and groups, by number or by name.

#ifndef MEMFUSE_SRC_CLI_OWNER_H_
#define MEMFUSE_SRC_CLI_OWNER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace memfuse::cli {

// InvalidArgument: `text` is neither a number below 2^32 - 1 (which chown(2) takes as "keep") nor a
// known name. A number need not have a user or group entry.
absl::StatusOr<uint32_t> ParseUser(const std::string& text);
absl::StatusOr<uint32_t> ParseGroup(const std::string& text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_OWNER_H_
