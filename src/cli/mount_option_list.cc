#include "src/cli/mount_option_list.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/cli/flags.h"

namespace memfuse::cli {
namespace {

// mount(8)'s own; and what has no meaning for files in memory, or is the case anyway.
constexpr std::array<absl::string_view, 24> kDropped = {
    "_netdev",    "async",   "auto",     "defaults",   "diratime",   "dirsync",
    "group",      "inode64", "iversion", "lazytime",   "loud",       "noauto",
    "nodiratime", "nofail",  "nogroup",  "noiversion", "nolazytime", "noowner",
    "nouser",     "owner",   "silent",   "sync",       "user",       "users"};

// Of the kernel's FUSE, which a remount is given because /proc/mounts shows them.
constexpr std::array<absl::string_view, 8> kKernels = {
    "blksize", "default_permissions", "fd", "group_id", "max_read", "rootmode", "subtype",
    "user_id"};

bool IsDropped(absl::string_view name) {
  return absl::StartsWith(name, "x-") || absl::StartsWith(name, "X-") ||
         std::find(kDropped.begin(), kDropped.end(), name) != kDropped.end();
}

absl::Status ApplyOne(absl::string_view option) {
  const std::vector<absl::string_view> halves = absl::StrSplit(option, absl::MaxSplits('=', 1));
  const absl::string_view name = halves[0];
  std::optional<absl::string_view> value;
  if (halves.size() == 2) value = halves[1];

  if (IsDropped(name) || name == "comment") return absl::OkStatus();
  if (FLAGS_remount && std::find(kKernels.begin(), kKernels.end(), name) != kKernels.end()) {
    return absl::OkStatus();
  }
  if (name == "rw") return SetFlag("ro", "false");
  // What the kernel does unless told noatime; served here as relatime.
  if (name == "relatime" || name == "strictatime") return SetFlag("atime", "true");
  if (name == "norelatime" || name == "nostrictatime") return absl::OkStatus();

  const FlagKind kind = KindOfFlag(std::string(name));
  if (name == "help" || name == "version" ||
      (kind == FlagKind::kUnknown && !IsNegatedSwitch(name))) {
    return absl::InvalidArgumentError(absl::StrCat("unknown mount option '", option, "' after -o"));
  }
  return SetFlag(name, value);
}

}  // namespace

absl::Status ApplyMountOptions(absl::string_view list) {
  const std::vector<absl::string_view> options = absl::StrSplit(list, ',', absl::SkipEmpty());
  // Wherever it stands, it says what the others are for.
  if (std::find(options.begin(), options.end(), "remount") != options.end()) {
    if (absl::Status status = SetFlag("remount", "true"); !status.ok()) return status;
  }
  for (const absl::string_view option : options) {
    if (absl::Status status = ApplyOne(option); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace memfuse::cli
