// Numbers as the kernel reads them in mount options.

#ifndef MEMFUSE_SRC_CLI_NUMBER_H_
#define MEMFUSE_SRC_CLI_NUMBER_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Decimal, octal with a 0 before it, hexadecimal with 0x. Nothing where `text` is anything else
// (empty, a sign, a space) or the number does not fit.
std::optional<uint64_t> ParseNumber(absl::string_view text);

// The same, times a power of 1024 where k, m, g, t, p or e, in either case, stands behind it.
std::optional<uint64_t> ParseScaledNumber(absl::string_view text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_NUMBER_H_
