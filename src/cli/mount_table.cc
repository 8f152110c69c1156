#include "src/cli/mount_table.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/cli/memory_cgroup.h"
#include "src/cli/mount_description.h"

namespace memfuse::cli {
namespace {

// A space, a tab, a newline and a backslash are a backslash and three octal digits.
std::string Decode(absl::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '7'; };
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && digit(text[i + 1]) && digit(text[i + 2]) &&
        digit(text[i + 3])) {
      decoded += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                                   (text[i + 3] - '0'));
      i += 3;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

bool Contains(absl::string_view directory, absl::string_view path) {
  if (directory == "/") return absl::StartsWith(path, "/");
  return absl::ConsumePrefix(&path, directory) && (path.empty() || path.front() == '/');
}

}  // namespace

bool MountEntry::is_fuse() const {
  return type == "fuse" || type == "fuseblk" || absl::StartsWith(type, "fuse.");
}

bool MountEntry::has_super_option(absl::string_view name) const {
  for (const absl::string_view option : absl::StrSplit(super_options, ',')) {
    if (option == name) return true;
  }
  return false;
}

uint32_t MountEntry::user_id() const {
  uint32_t uid = 0;
  const std::optional<std::string> text = ValueInDescription(super_options, "user_id");
  return text.has_value() && absl::SimpleAtoi(*text, &uid) ? uid : 0;
}

// ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS
std::vector<MountEntry> ParseMountTable(absl::string_view mountinfo) {
  std::vector<MountEntry> table;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(absl::string_view(" - "), 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> type = absl::StrSplit(halves[1], ' ');
    uint64_t id = 0;
    if (mount.size() < 6 || type.size() < 3 || !absl::SimpleAtoi(mount[0], &id)) continue;
    table.push_back({std::string(mount[2]), Decode(mount[4]), std::string(mount[5]),
                     std::string(type[0]), Decode(type[1]), std::string(type[2]), Decode(mount[3]),
                     id});
  }
  return table;
}

std::vector<MountEntry> ReadMountTable() {
  return ParseMountTable(ReadWholeFile("/proc/self/mountinfo"));
}

const MountEntry* MountAt(const std::vector<MountEntry>& table, absl::string_view path) {
  for (auto entry = table.rbegin(); entry != table.rend(); ++entry) {
    if (entry->mount_point == path) return &*entry;
  }
  return nullptr;
}

const MountEntry* MountAbove(const std::vector<MountEntry>& table, absl::string_view path) {
  const MountEntry* deepest = nullptr;
  for (const MountEntry& entry : table) {
    if (Contains(entry.mount_point, path) &&
        (deepest == nullptr || entry.mount_point.size() >= deepest->mount_point.size())) {
      deepest = &entry;
    }
  }
  return deepest;
}

}  // namespace memfuse::cli
