// Parses argv into flags.
//
// The parser of gflags prints several lines and exits if an argument is wrong. This parser iterates
// over the arguments and passes each flag to gflags. An error is one sentence, and the caller
// prints it.

#ifndef MEMFUSE_SRC_CLI_COMMAND_LINE_H_
#define MEMFUSE_SRC_CLI_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace memfuse::cli {

// Sets the flags that `arguments` (argv without the program) give and returns the others, in order.
//
// Forms: --flag=value, --flag value, --switch, --noswitch, one dash instead of two, -f
// (--foreground), -h (--help), -o list, -olist; after "--" nothing is a flag. If a flag is given
// several times, in any form, the last one counts.
absl::StatusOr<std::vector<std::string>> ParseCommandLine(absl::Span<const std::string> arguments);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_COMMAND_LINE_H_
