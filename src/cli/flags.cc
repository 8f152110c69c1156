#include "src/cli/flags.h"

#include <gflags/gflags.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "src/cli/flag_table.h"
#include "src/cli/size.h"

#define FLAG(type, name, default_value, words, value, unit, place, help) \
  DEFINE_##type(name, default_value, help);
#define BORROWED(...)
#define SYNONYM(...)
#define RESERVED(...)
#include "src/cli/flags.inc"
#undef FLAG
#undef BORROWED
#undef SYNONYM
#undef RESERVED

namespace memfuse::cli {
namespace {

// "a, b and c".
std::string JoinWithAnd(absl::Span<const absl::string_view> words) {
  return absl::StrCat(absl::StrJoin(words.first(words.size() - 1), ", "), " and ", words.back());
}

absl::Status SetBlocks(absl::string_view value) {
  const absl::StatusOr<uint64_t> bytes = ParseBlockCount(value);
  if (!bytes.ok()) return bytes.status();
  return SetFlag("size", absl::StrCat(*bytes));
}

// The options of tmpfs for default quotas, and what they are for --quota.
constexpr std::pair<absl::string_view, absl::string_view> kDefaultQuotas[] = {
    {"usrquota_block_hardlimit", "uid:*="},
    {"usrquota_inode_hardlimit", "uid:*=/"},
    {"grpquota_block_hardlimit", "gid:*="},
    {"grpquota_inode_hardlimit", "gid:*=/"}};

// Adds rules to --quota. They are checked when all flags are known.
absl::Status AddQuotaRules(absl::string_view rules) {
  // The text is a part of the answer to MEMFUSE_IOC_GET_OPTIONS.
  constexpr size_t kMaxText = 2048;
  const std::string all = absl::StrCat(FLAGS_quota, FLAGS_quota.empty() ? "" : ",", rules);
  if (all.size() > kMaxText) {
    return absl::InvalidArgumentError("--quota: the rules take more than 2048 bytes");
  }
  gflags::SetCommandLineOption("quota", all.c_str());
  return absl::OkStatus();
}

}  // namespace

FlagKind KindOfFlag(absl::string_view name) {
  const Flag* const flag = FindFlag(name);
  if (flag == nullptr) return FlagKind::kUnknown;
  if (flag->place == FlagPlace::kReserved) return FlagKind::kUnsupported;
  return flag->is_switch ? FlagKind::kSwitch : FlagKind::kValue;
}

bool IsNegatedSwitch(absl::string_view name) {
  return absl::StartsWith(name, "no") && KindOfFlag(name.substr(2)) == FlagKind::kSwitch;
}

absl::Status SetFlag(absl::string_view name, std::optional<absl::string_view> value) {
  const FlagKind kind = KindOfFlag(name);
  if (kind == FlagKind::kUnsupported) {
    return absl::UnimplementedError(absl::StrCat("--", name, " is not supported by this version"));
  }
  if (kind == FlagKind::kUnknown && IsNegatedSwitch(name)) {
    if (value.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
    }
    return SetFlag(name.substr(2), "false");
  }
  if (kind == FlagKind::kUnknown) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name, "; 'memfuse --help' lists them"));
  }
  if (kind == FlagKind::kValue && !value.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
  }
  const std::string text(value.value_or("true"));
  const std::vector<absl::string_view> choices = FindFlag(name)->choices();
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, ": '", text, "' is none of ", JoinWithAnd(choices)));
  }
  if (name == "nr_blocks") return SetBlocks(text);
  for (const auto& [option, subject] : kDefaultQuotas) {
    if (name == option) return AddQuotaRules(absl::StrCat(subject, text));
  }
  if (name == "quota") return AddQuotaRules(text);
  // gflags returns an empty string, without an error text, if the text is not of the flag's type.
  if (gflags::SetCommandLineOption(std::string(name).c_str(), text.c_str()).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, ": '", text, "' is ",
                     kind == FlagKind::kSwitch ? "neither true nor false" : "not a number"));
  }
  return absl::OkStatus();
}

bool IsFlagSet(const char* name) { return !gflags::GetCommandLineFlagInfoOrDie(name).is_default; }

}  // namespace memfuse::cli
