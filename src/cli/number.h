// Numbers in the syntax of the kernel for mount options.

#ifndef MEMFUSE_SRC_CLI_NUMBER_H_
#define MEMFUSE_SRC_CLI_NUMBER_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Decimal, octal with the prefix 0, hexadecimal with 0x. No value if `text` is anything else
// (empty, a sign, a space) or the number does not fit.
std::optional<uint64_t> ParseNumber(absl::string_view text);

// The same, times a power of 1024 if the suffix is k, m, g, t, p or e, in either case.
std::optional<uint64_t> ParseScaledNumber(absl::string_view text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_NUMBER_H_
