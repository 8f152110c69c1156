// Mount options that are not flags: those of mount(8), systemd and tmpfs(5), and how each of them
// is treated. mount.memfuse(8) lists them.

#ifndef MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_
#define MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace memfuse::cli {

struct UnsupportedOption {
  absl::string_view name;
  // Why it is not supported. Empty: it is dropped, because it is for another program, is already in
  // effect, or has no effect in memory.
  absl::string_view refusal;
};

absl::Span<const UnsupportedOption> UnsupportedOptions();

// nullptr: not one of these. All names that begin with x- or X- are dropped.
const UnsupportedOption* FindUnsupportedOption(absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_UNSUPPORTED_OPTIONS_H_
