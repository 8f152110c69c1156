#include "src/cli/memory_cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {
namespace {

constexpr absl::string_view kV1[] = {"memory.limit_in_bytes"};
constexpr absl::string_view kV2[] = {"memory.max", "memory.high"};
constexpr absl::Span<const absl::string_view> kFilesV1(kV1);
constexpr absl::Span<const absl::string_view> kFilesV2(kV2);

bool Contains(absl::string_view comma_list, absl::string_view word) {
  for (absl::string_view item : absl::StrSplit(comma_list, ',')) {
    if (item == word) return true;
  }
  return false;
}

// Lines of /proc/self/cgroup: ID:CONTROLLERS:PATH; in v2 the id is 0 and no controller is named.
std::optional<std::string> OwnCgroup(absl::string_view text, bool v2) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool match = v2 ? fields[0] == "0" && fields[1].empty() : Contains(fields[1], "memory");
    if (match) return std::string(fields[2]);
  }
  return std::nullopt;
}

// The path of the process's cgroup below the mount point. In a container, the cgroup of the
// container is often mounted as the root of the hierarchy while /proc/self/cgroup gives the path on
// the host, or vice versa. Then the mount point itself is the nearest cgroup that can be read.
std::string PathBelowMount(absl::string_view cgroup, absl::string_view mounted_root) {
  if (mounted_root != "/") {
    if (!absl::ConsumePrefix(&cgroup, mounted_root)) return "";
    if (!cgroup.empty() && cgroup.front() != '/') return "";
  }
  if (absl::StrContains(cgroup, "/..")) return "";
  return std::string(absl::StripSuffix(cgroup, "/"));
}

// "max" (v2) is not a number and means no limit; v1 gives LONG_MAX rounded down to a page.
std::optional<uint64_t> ParseLimit(absl::string_view text) {
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;
  uint64_t limit;
  if (!absl::SimpleAtoi(text, &limit) || limit >= kNoLimit) return std::nullopt;
  return limit;
}

// The bytes that the kernel frees when the cgroup needs memory, according to its memory.stat. The
// pages of a tmpfs are not among them. In v1, the values with "total_" include the cgroups below.
uint64_t ReclaimableBytes(absl::string_view stat, bool v2) {
  constexpr absl::string_view kReclaimableV1[] = {"total_active_file", "total_inactive_file"};
  constexpr absl::string_view kReclaimableV2[] = {"active_file", "inactive_file",
                                                  "slab_reclaimable"};
  const absl::Span<const absl::string_view> names =
      v2 ? absl::Span<const absl::string_view>(kReclaimableV2)
         : absl::Span<const absl::string_view>(kReclaimableV1);
  uint64_t sum = 0;
  for (const absl::string_view line : absl::StrSplit(stat, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    uint64_t bytes;
    if (fields.size() == 2 && std::find(names.begin(), names.end(), fields[0]) != names.end() &&
        absl::SimpleAtoi(fields[1], &bytes)) {
      sum += bytes;
    }
  }
  return sum;
}

}  // namespace

std::string ReadWholeFile(const std::string& path, int* error) {
  const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  ssize_t size = -1;
  if (file.valid()) {
    while ((size = read(file.get(), buffer, sizeof(buffer))) > 0) {
      text.append(buffer, static_cast<size_t>(size));
    }
  }
  if (size == 0) return text;
  if (error != nullptr) *error = errno;
  return "";
}

// Lines of mountinfo: ID PARENT DEV ROOT MOUNT-POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS.
MemoryCgroup::MemoryCgroup(std::string root, std::string process)
    : root_(std::move(root)), process_(std::move(process)) {
  const std::string mountinfo = ReadWholeFile(absl::StrCat(root_, "/proc/self/mountinfo"));
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(absl::string_view(" - "), 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> type = absl::StrSplit(halves[1], ' ');
    if (mount.size() < 5 || type.size() < 3) continue;
    const bool v2 = type[0] == "cgroup2";
    if (!v2 && (type[0] != "cgroup" || !Contains(type[2], "memory"))) continue;
    hierarchies_.push_back({std::string(mount[4]), std::string(mount[3]), v2});
  }
}

bool MemoryCgroup::ForEach(
    absl::FunctionRef<void(const std::string& directory, bool v2)> visit) const {
  int error = 0;
  const std::string own = ReadWholeFile(absl::StrCat(root_, "/proc/", process_, "/cgroup"), &error);
  for (const Hierarchy& hierarchy : hierarchies_) {
    const std::optional<std::string> cgroup = OwnCgroup(own, hierarchy.v2);
    if (!cgroup.has_value()) continue;
    std::string below = PathBelowMount(*cgroup, hierarchy.mounted_root);
    for (;;) {
      visit(absl::StrCat(root_, hierarchy.mount_point, below, "/"), hierarchy.v2);
      if (below.empty()) break;
      below.resize(below.rfind('/'));
    }
  }
  return error == 0;
}

std::optional<uint64_t> MemoryCgroup::ReadLimit(bool* complete) const {
  std::optional<uint64_t> smallest;
  bool all_read = true;
  const bool found = ForEach([&](const std::string& directory, bool v2) {
    for (const absl::string_view file : v2 ? kFilesV2 : kFilesV1) {
      int error = 0;
      const std::string text = ReadWholeFile(absl::StrCat(directory, file), &error);
      // The root of v2 and a cgroup that was removed have no such file.
      if (error != 0 && error != ENOENT) all_read = false;
      const std::optional<uint64_t> limit = ParseLimit(text);
      if (limit.has_value()) smallest = std::min(*limit, smallest.value_or(*limit));
    }
  });
  if (complete != nullptr) *complete = all_read && found;
  return smallest;
}

uint64_t MemoryCgroup::Room::for_files() const {
  const uint64_t kept = limit - RoomForFiles(limit);
  return available - std::min(available, kept);
}

std::optional<MemoryCgroup::Room> MemoryCgroup::ReadRoom(bool* complete) const {
  std::optional<Room> least;
  bool all_read = true;
  // The root of v2 and a cgroup that was removed have no such files.
  const auto read_file = [&all_read](const std::string& path) {
    int error = 0;
    std::string text = ReadWholeFile(path, &error);
    if (error != 0 && error != ENOENT && error != ENODEV) all_read = false;
    return text;
  };
  const bool found = ForEach([&](const std::string& directory, bool v2) {
    std::optional<uint64_t> limit;
    for (const absl::string_view file : v2 ? kFilesV2 : kFilesV1) {
      const std::optional<uint64_t> level = ParseLimit(read_file(absl::StrCat(directory, file)));
      if (level.has_value()) limit = std::min(*level, limit.value_or(*level));
    }
    uint64_t used;
    const std::string usage_file =
        absl::StrCat(directory, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (!limit.has_value() || !absl::SimpleAtoi(read_file(usage_file), &used)) return;
    used -= std::min(used, ReclaimableBytes(read_file(directory + "memory.stat"), v2));
    const Room room{*limit, *limit - std::min(*limit, used)};
    if (!least.has_value() || room.for_files() < least->for_files()) least = room;
  });
  if (complete != nullptr) *complete = all_read && found;
  return least;
}

uint64_t RoomForFiles(uint64_t limit) { return limit - limit / 8; }

uint64_t RoomForDirtyPages(uint64_t limit) { return limit / 8; }

}  // namespace memfuse::cli
