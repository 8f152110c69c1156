#include "src/cli/mount_source.h"

#include <mntent.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/string_view.h"

namespace memfuse::cli {
namespace {

// fstab, or a file with its format. The strings are decoded.
class MountTable {
 public:
  explicit MountTable(const std::string& path) : file_(setmntent(path.c_str(), "re"), &endmntent) {}

  // nullptr at the end, and if there is no such file. Valid until the next call.
  const mntent* Next() {
    return file_ == nullptr
               ? nullptr
               : getmntent_r(file_.get(), &line_, text_.data(), static_cast<int>(text_.size()));
  }

 private:
  std::unique_ptr<FILE, decltype(&endmntent)> file_;
  mntent line_ = {};
  // A longer line, with the options of an overlay of many layers, is cut off. The part after this
  // size is not needed.
  std::array<char, 16384> text_ = {};
};

bool IsMemfuse(const mntent& line) {
  const absl::string_view type = line.mnt_type;
  return type == "memfuse" || type == "fuse.memfuse";
}

// Whether `path` is `real`, a path without symbolic links, or resolves to it.
bool LeadsTo(const char* path, const std::string& real) {
  std::error_code error;
  return path == real || (std::filesystem::canonical(path, error) == real && !error);
}

}  // namespace

std::string NameOfSource(const std::string& source, const std::string& mount_point,
                         const std::string& fstab) {
  const std::filesystem::path path(source);
  if (!path.is_absolute()) return source;
  MountTable lines(fstab);
  while (const mntent* line = lines.Next()) {
    if (IsMemfuse(*line) && LeadsTo(line->mnt_fsname, source) &&
        LeadsTo(line->mnt_dir, mount_point)) {
      return line->mnt_fsname;
    }
  }
  std::error_code error;
  const bool here =
      path.has_filename() && path.parent_path() == std::filesystem::current_path(error) && !error;
  return here ? path.filename().string() : source;
}

bool IsMountedAs(const std::string& name, const std::string& mount_point,
                 const std::string& mounts) {
  bool mounted = false;
  MountTable lines(mounts);
  while (const mntent* line = lines.Next()) {
    // The last mount is on top of the others.
    if (line->mnt_dir == mount_point) mounted = IsMemfuse(*line) && line->mnt_fsname == name;
  }
  return mounted;
}

}  // namespace memfuse::cli
