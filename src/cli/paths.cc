#include "src/cli/paths.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {
namespace {

absl::Status PathError(absl::string_view what, const std::string& path, int error) {
  const std::string subject = absl::StrCat(what, " ", path);
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(absl::StrCat(subject, " does not exist"));
    case ENOTDIR:
      return absl::FailedPreconditionError(absl::StrCat(subject, " is not a directory"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(subject, " cannot be reached: permission denied"));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat(subject, " cannot be used: ", std::generic_category().message(error)));
  }
}

// An empty string, and errno, on failure.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real == nullptr ? std::string() : std::string(real.get());
}

bool IsInside(const std::string& path, const std::string& directory) {
  return path == directory || directory == "/" ||
         absl::StartsWith(path, absl::StrCat(directory, "/"));
}

}  // namespace

absl::StatusOr<std::string> ResolveMountPoint(const std::string& path) {
  const std::string real = RealPath(path);
  if (real.empty()) return PathError("mount point", path, errno);
  return real;
}

std::string AbsolutePath(const std::string& path) {
  std::error_code ignored;
  std::string absolute = std::filesystem::absolute(path, ignored).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

absl::StatusOr<std::string> ResolveLogDirectory(const std::string& path,
                                                const std::string& mount_point) {
  const std::string real = RealPath(path);
  if (real.empty()) return PathError("log directory", path, errno);
  struct stat attributes;
  if (stat(real.c_str(), &attributes) != 0) return PathError("log directory", path, errno);
  if (!S_ISDIR(attributes.st_mode)) return PathError("log directory", path, ENOTDIR);
  if (access(real.c_str(), W_OK | X_OK) != 0) return PathError("log directory", path, errno);
  if (!mount_point.empty() && IsInside(real, mount_point)) {
    return absl::FailedPreconditionError(
        absl::StrCat("log directory ", path, " lies inside the mount point ", mount_point));
  }
  return real;
}

}  // namespace memfuse::cli
