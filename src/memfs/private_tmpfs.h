// A tmpfs that is mounted nowhere, and files on it: memory files that have what memfd_create(2)
// leaves to the administrator (huge=) or does not have (noswap, size=).

#ifndef MEMFUSE_SRC_MEMFS_PRIVATE_TMPFS_H_
#define MEMFUSE_SRC_MEMFS_PRIVATE_TMPFS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"

namespace memfuse::memfs {

// As in tmpfs(5).
struct PrivateTmpfsOptions {
  uint64_t size_limit = 0;     // bytes; 0: none
  std::string huge = "never";  // never, within_size, advise, always
  bool noswap = false;
  bool noatime = false;      // keep no access times
  bool strictatime = false;  // every read moves them; otherwise as with relatime
};

// The mount has no place in any tree: it goes with the last descriptor on it.
// PermissionDenied (CAP_SYS_ADMIN is needed), Unimplemented (a kernel without it), InvalidArgument
// (huge, noswap), ResourceExhausted.
absl::StatusOr<base::UniqueFd> MountPrivateTmpfs(const PrivateTmpfsOptions& options);

// An empty file without a name, alone on a tmpfs of its own, open for reading and writing. Without
// CAP_SYS_ADMIN the tmpfs is made in a user namespace, by a child process; noswap is not for those.
// As MountPrivateTmpfs.
absl::StatusOr<base::UniqueFd> MakePrivateFile(const PrivateTmpfsOptions& options);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_PRIVATE_TMPFS_H_
