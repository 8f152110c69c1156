// The one line that a user sees when something is wrong.

#ifndef MEMFUSE_SRC_CLI_MESSAGE_H_
#define MEMFUSE_SRC_CLI_MESSAGE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// `sentence` with "memfuse: " before it and a newline behind it. It stays one line whatever the
// arguments it quotes contain: control characters become '?'.
std::string ErrorLine(absl::string_view sentence);

// Writes ErrorLine(sentence) to stderr and returns 1, the exit status that goes with it.
int Fail(absl::string_view sentence);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MESSAGE_H_
