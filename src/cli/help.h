// The output of --help and --version.

#ifndef MEMFUSE_SRC_CLI_HELP_H_
#define MEMFUSE_SRC_CLI_HELP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Every flag in one or two lines of 80 columns; the manual page has the details.
std::string HelpText();
absl::string_view VersionText();
// The version alone.
absl::string_view VersionNumber();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_HELP_H_
