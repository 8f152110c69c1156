// The argument of -o, as mount(8) and fstab write it.

#ifndef MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_
#define MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Sets the flags that "a,b=c,noexec" names: an option is a flag without its dashes. What only
// mount(8), systemd or other file systems act upon (nofail, _netdev, x-*, relatime, ...) is
// dropped; with "remount", also what the kernel's FUSE shows of its own. The first option that is
// unknown or wrong ends it with the flag's error.
absl::Status ApplyMountOptions(absl::string_view list);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_OPTION_LIST_H_
