// Mount options that are no flags here: those of mount(8), systemd and tmpfs(5), each with what
// becomes of it. mount.memfuse(8) lists them.

#ifndef MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_
#define MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace memfuse::cli {

struct UnsupportedOption {
  absl::string_view name;
  // Why it cannot be had. Empty: it is dropped, because it is for somebody else, is the case
  // anyway, or makes no difference in memory.
  absl::string_view refusal;
};

absl::Span<const UnsupportedOption> UnsupportedOptions();

// nullptr: not one of these. Names that begin with x- or X- are dropped ones, all of them.
const UnsupportedOption* FindUnsupportedOption(absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_
