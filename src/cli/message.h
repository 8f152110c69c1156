// The one line that a user sees when something is wrong.

#ifndef MEMFUSE_SRC_CLI_MESSAGE_H_
#define MEMFUSE_SRC_CLI_MESSAGE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// `text` as one line, whatever the arguments it quotes contain: control characters become '?'.
std::string OneLine(absl::string_view text);

// `sentence` as one line with "memfuse: " before it and a newline behind it.
std::string ErrorLine(absl::string_view sentence);

// Writes ErrorLine(sentence) to stderr, tells the service manager, and returns 1, the exit status
// that goes with it. The journal knows who writes; it is given the priority instead of the name.
int Fail(absl::string_view sentence);

// The same with the sentence of `status`, whose code tells the service manager the kind of error.
int Fail(const absl::Status& status);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MESSAGE_H_
