// The argument of -o, as mount(8) and fstab write it.

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
  kSloppy,  // as mount -s: what is unknown or not to be had is dropped
};

// The options of "a,b=c,noexec", without empty ones. A comma between double quotes or behind a
// backslash is part of a value; these quotes, and this backslash, are not. InvalidArgument: a quote
// is not closed.
absl::StatusOr<std::vector<std::string>> SplitMountOptions(absl::string_view list);

// Sets the flags that the list names: an option is a flag without its dashes. The others are dealt
// with as foreign_options.h says; and with "remount" in the list, what the kernel's FUSE shows of
// its own in /proc/mounts is dropped. The first that is wrong ends it with its error.
absl::Status ApplyMountOptions(absl::string_view list, Strictness strictness = Strictness::kStrict);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_
