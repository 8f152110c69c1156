// A tmpfs that is mounted nowhere, and files on it. Such memory files have properties that
// memfd_create(2) leaves to the administrator (huge=) or does not offer (noswap, size=).

#ifndef MEMFUSE_SRC_MEMFS_DATA_PRIVATE_TMPFS_H_
#define MEMFUSE_SRC_MEMFS_DATA_PRIVATE_TMPFS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"

namespace memfuse::memfs {

// Options as in tmpfs(5).
struct PrivateTmpfsOptions {
  uint64_t size_limit = 0;     // bytes; 0: no limit
  std::string huge = "never";  // never, within_size, advise, always
  bool noswap = false;
  bool noatime = false;      // keep no access times
  bool strictatime = false;  // every read moves access times; otherwise relatime
};

// Makes a mount that is attached to no mount tree; it ends when the last descriptor that refers to
// it is closed. Returns PermissionDenied (CAP_SYS_ADMIN is needed), Unimplemented (the kernel has
// no support), InvalidArgument (huge or noswap is not supported) or ResourceExhausted.
absl::StatusOr<base::UniqueFd> MountPrivateTmpfs(const PrivateTmpfsOptions& options);

// Makes an empty file without a name, alone on a tmpfs of its own, open for reading and writing.
// Without CAP_SYS_ADMIN, a child process makes the tmpfs in a user namespace; noswap is not
// available there. Returns the errors of MountPrivateTmpfs.
absl::StatusOr<base::UniqueFd> MakePrivateFile(const PrivateTmpfsOptions& options);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_PRIVATE_TMPFS_H_
