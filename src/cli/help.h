// What --help and --version print.

#ifndef MEMFUSE_SRC_CLI_HELP_H_
#define MEMFUSE_SRC_CLI_HELP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Every flag in a line or two of 80 columns; the manual page has the rest.
std::string HelpText();
absl::string_view VersionText();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_HELP_H_
