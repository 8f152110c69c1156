// Text of memfusectl for terminals.

#ifndef MEMFUSE_SRC_CLI_TERMINAL_TEXT_H_
#define MEMFUSE_SRC_CLI_TERMINAL_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// "1,234,567".
std::string FormatCount(uint64_t number);

// A name or a path as one line without control characters. A name that has any, such as a newline
// or an escape sequence, or that looks like a quoted one, is quoted as bash reads it: $'a\nb'.
// Control characters are bytes below 32, 127, and U+0080 to U+009F.
std::string QuoteName(absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_TERMINAL_TEXT_H_
