// The one line that a user sees on an error, and the exit status that belongs to it.

#ifndef MEMFUSE_SRC_CLI_MESSAGE_H_
#define MEMFUSE_SRC_CLI_MESSAGE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// The program that prints messages. The exit status of memfuse and memfusectl is 1 for every error.
// mount(8) passes the exit status of the helper on: 1 for a wrong call or a lack of permission, 2
// if the system has run out of a resource, 32 for any other failure to mount.
enum class ProgramKind { kMemfuse, kMountHelper, kControl };

// Must be called first, before there is any thread. Without a call the program is kMemfuse.
void SetProgramName(ProgramKind speaker);

// `text` as one line, regardless of the arguments that it quotes: control characters become '?'.
std::string OneLine(absl::string_view text);

// `sentence` as one line with the prefix "memfuse: " (for the other
// programs: "mount.memfuse: ", "memfusectl: ") and a
// newline at the end.
std::string ErrorLine(absl::string_view sentence);

// The exit status of this program for this kind of failure.
int ExitStatus(absl::StatusCode code);

// Writes ErrorLine of the sentence to stderr, notifies the service manager, with the errno for the
// code, and returns the exit status. The journal records the name of the program itself; it gets
// the priority instead of the name. A sentence without a status has the code kInternal.
int Fail(const absl::Status& status);
int Fail(absl::string_view sentence);

// Writes ErrorLine of 'warning: ' and the sentence to stderr, and returns.
void Warn(absl::string_view sentence);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MESSAGE_H_
