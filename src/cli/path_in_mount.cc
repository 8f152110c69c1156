#include "src/cli/path_in_mount.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/base/error_text.h"
#include "src/cli/memory_cgroup.h"
#include "src/cli/mount_table.h"

namespace memfuse::cli {
std::string PathBelowMount(absl::string_view path, uint64_t mount_id, absl::string_view mountinfo) {
  for (const MountEntry& mount : ParseMountTable(mountinfo)) {
    if (mount.id != mount_id) continue;
    if (mount.mount_point != "/" && !absl::ConsumePrefix(&path, mount.mount_point)) return "";
    if (path == "/") path = "";
    const std::string whole = absl::StrCat(mount.root == "/" ? "" : mount.root, path);
    return whole.empty() ? "/" : whole;
  }
  return "";
}

absl::StatusOr<std::string> PathInFileSystem(int descriptor) {
  struct stat found = {};
  if (fstat(descriptor, &found) != 0) {
    return absl::FailedPreconditionError(base::ErrorText(errno));
  }
  if (!S_ISDIR(found.st_mode)) return absl::FailedPreconditionError("it is not a directory");
  if (found.st_nlink == 0) return absl::FailedPreconditionError("the directory was removed");
  char path[PATH_MAX + 1];
  const std::string self = absl::StrCat("/proc/self/fd/", descriptor);
  const ssize_t size = readlink(self.c_str(), path, sizeof(path));
  if (size < 0) return absl::FailedPreconditionError(base::ErrorText(errno));
  uint64_t mount_id = 0;
  for (const absl::string_view line :
       absl::StrSplit(ReadWholeFile(absl::StrCat("/proc/self/fdinfo/", descriptor)), '\n')) {
    absl::string_view value = line;
    if (absl::ConsumePrefix(&value, "mnt_id:")) (void)absl::SimpleAtoi(value, &mount_id);
  }
  std::string below = PathBelowMount(absl::string_view(path, static_cast<size_t>(size)), mount_id,
                                     ReadWholeFile("/proc/self/mountinfo"));
  if (below.empty()) {
    return absl::FailedPreconditionError("its mount is not in this mount namespace");
  }
  return below;
}

}  // namespace memfuse::cli
