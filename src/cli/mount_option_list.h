// The argument of -o, in the syntax of mount(8) and fstab.

#ifndef MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_
#define MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

enum class Strictness {
  kStrict,
  kSloppy,  // as mount -s: unknown and unsupported options are dropped
};

// The options of "a,b=c,noexec", without empty ones. A comma between double quotes or after a
// backslash is part of a value. These quotes, and this backslash, are not part of it.
// InvalidArgument: a quote is not closed.
absl::StatusOr<std::vector<std::string>> SplitMountOptions(absl::string_view list);

// Sets the flags that the list names: an option is a flag without its dashes. Options that are not
// flags are treated as unsupported_options.h describes. With "remount" in the list, the options
// that the kernel's FUSE adds in /proc/mounts are dropped. The first wrong option stops the
// function with its error.
absl::Status ApplyMountOptions(absl::string_view list, Strictness strictness = Strictness::kStrict);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_
