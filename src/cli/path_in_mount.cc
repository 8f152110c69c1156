#include "src/cli/path_in_mount.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/base/error_text.h"

namespace memfuse::cli {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The kernel writes space, tab, newline and backslash as \ooo.
std::string Unescape(absl::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
                                (field[i + 3] - '0'));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

}  // namespace

std::string PathBelowMount(absl::string_view path, uint64_t mount_id, absl::string_view mountinfo) {
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    // ID PARENT DEVICE ROOT MOUNT-POINT ...
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    uint64_t id = 0;
    if (fields.size() < 6 || !absl::SimpleAtoi(fields[0], &id) || id != mount_id) continue;
    std::string root = Unescape(fields[3]);
    const std::string mount_point = Unescape(fields[4]);
    if (mount_point != "/" && !absl::ConsumePrefix(&path, mount_point)) return "";
    if (root == "/") root.clear();
    if (path == "/") path = "";
    const std::string whole = absl::StrCat(root, path);
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
       absl::StrSplit(ReadAll(absl::StrCat("/proc/self/fdinfo/", descriptor)), '\n')) {
    absl::string_view value = line;
    if (absl::ConsumePrefix(&value, "mnt_id:")) (void)absl::SimpleAtoi(value, &mount_id);
  }
  std::string below = PathBelowMount(absl::string_view(path, static_cast<size_t>(size)), mount_id,
                                     ReadAll("/proc/self/mountinfo"));
  if (below.empty()) {
    return absl::FailedPreconditionError("its mount is not in this mount namespace");
  }
  return below;
}

}  // namespace memfuse::cli
