// From argv to flags.
//
// gflags's own parser prints several lines of its own and exits where an argument is wrong; this
// one walks over the arguments and hands each flag to gflags, so that there is one sentence and one
// caller to print it.

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
// (--foreground), -h (--help), -o list, -olist; after "--" nothing is a flag. Where a flag is given
// several times, by whichever form, the last one counts.
absl::StatusOr<std::vector<std::string>> ParseCommandLine(absl::Span<const std::string> arguments);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_COMMAND_LINE_H_
