// The one line that a user sees when something is wrong, and the exit status that goes with it.

#ifndef MEMFUSE_SRC_CLI_MESSAGE_H_
#define MEMFUSE_SRC_CLI_MESSAGE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Who speaks. The exit status of memfuse is 1 for whatever is wrong; that of the helper is what
// mount(8) passes on as its own: 1 for a wrong call or a lack of permission, 2 for what the system
// has run out of, 32 for any other mount that failed.
enum class ProgramKind { kMemfuse, kMountHelper };

// To be called first, before there is any thread; kMemfuse without it.
void SetProgramName(ProgramKind speaker);

// `text` as one line, whatever the arguments it quotes contain: control characters become '?'.
std::string OneLine(absl::string_view text);

// `sentence` as one line with "memfuse: " before it (of the helper: "mount.memfuse: ") and a
// newline behind it.
std::string ErrorLine(absl::string_view sentence);

// Of this speaker, for this kind of failure.
int ExitStatus(absl::StatusCode code);

// Writes ErrorLine of the sentence to stderr, tells the service manager, with the kind of error
// that the code is, and returns the exit status. The journal knows who writes; it is given the
// priority instead of the name. Of a bare sentence: that of kInternal.
int Fail(const absl::Status& status);
int Fail(absl::string_view sentence);

// Writes ErrorLine of 'warning: ' and the sentence to stderr; nothing ends.
void Warn(absl::string_view sentence);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MESSAGE_H_
