// What --help and --version print.

#ifndef MEMFUSE_SRC_CLI_HELP_H_
#define MEMFUSE_SRC_CLI_HELP_H_

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Fits a screen of 24 lines and 80 columns; the manual page has the rest.
absl::string_view HelpText();
absl::string_view VersionText();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_HELP_H_
