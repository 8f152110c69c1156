#include "src/cli/mount_option_list.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_cat.h"
#include "src/cli/flag_table.h"
#include "src/cli/flags.h"
#include "src/cli/unsupported_options.h"

namespace memfuse::cli {
namespace {

// Options of the kernel's FUSE. A remount may get them, as options that the mount was made with.
constexpr std::array<absl::string_view, 3> kKernels = {"fd", "rootmode", "subtype"};

// A flag that may be in the list, with or without "no". A reserved flag may be in the list, so that
// the user gets the error text for it.
bool IsFlagOption(absl::string_view name) {
  const Flag* flag = FindFlag(name);
  if (flag == nullptr && IsNegatedSwitch(name)) flag = FindFlag(name.substr(2));
  return flag != nullptr && (flag->is_mount_option() || flag->place == FlagPlace::kReserved);
}

absl::Status ApplyOne(absl::string_view option, Strictness strictness) {
  const size_t equals = option.find('=');
  const absl::string_view name = option.substr(0, equals);
  std::optional<absl::string_view> value;
  if (equals != absl::string_view::npos) value = option.substr(equals + 1);

  if (FLAGS_remount) {
    if (std::find(kKernels.begin(), kKernels.end(), name) != kKernels.end()) {
      return absl::OkStatus();
    }
    // relatime turns noatime off.
    if (name == "relatime") return SetFlag("atime", "true");
  }
  if (name == "rw") return SetFlag("ro", "false");
  // tmpfs's option that counts what users and groups use, which is always counted.
  if (option == "quota") return absl::OkStatus();
  if (IsFlagOption(name)) return SetFlag(name, value);
  const UnsupportedOption* const unsupported = FindUnsupportedOption(name);
  if (unsupported != nullptr && unsupported->refusal.empty()) return absl::OkStatus();
  // This placement of memory is the default of every process.
  if (option == "mpol=default") return absl::OkStatus();
  if (strictness == Strictness::kSloppy) return absl::OkStatus();
  if (unsupported != nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("mount option '", option, "' is not supported: ", unsupported->refusal));
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown mount option '", option, "' after -o"));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> SplitMountOptions(absl::string_view list) {
  std::vector<std::string> options;
  std::string option;
  bool quoted = false;
  for (size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == '\\' && i + 1 < list.size() && (list[i + 1] == ',' || list[i + 1] == '"')) {
      option.push_back(list[++i]);
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      if (!option.empty()) options.push_back(std::move(option));
      option.clear();
    } else {
      option.push_back(c);
    }
  }
  if (quoted) {
    return absl::InvalidArgumentError(absl::StrCat("a quote is not closed in '", list, "'"));
  }
  if (!option.empty()) options.push_back(std::move(option));
  return options;
}

absl::Status ApplyMountOptions(absl::string_view list, Strictness strictness) {
  const absl::StatusOr<std::vector<std::string>> options = SplitMountOptions(list);
  if (!options.ok()) return options.status();
  // At any position, it changes how the other options are treated.
  if (std::find(options->begin(), options->end(), "remount") != options->end()) {
    if (absl::Status status = SetFlag("remount", "true"); !status.ok()) return status;
  }
  for (const std::string& option : *options) {
    if (absl::Status status = ApplyOne(option, strictness); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace memfuse::cli
