#include "src/cli/size.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/cli/memory_cgroup.h"
#include "src/cli/number.h"

namespace memfuse::cli {
namespace {

std::optional<uint64_t> ParsePercentage(absl::string_view text, uint64_t memory) {
  text.remove_suffix(1);
  const std::optional<uint64_t> percent = ParseNumber(text);
  if (!percent.has_value()) return std::nullopt;
  const auto bytes = static_cast<unsigned __int128>(memory) * *percent / 100;
  return bytes > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(bytes);
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text, uint64_t memory) {
  const bool percentage = !text.empty() && text.back() == '%';
  const std::optional<uint64_t> parsed =
      percentage ? ParsePercentage(text, memory) : ParseScaledNumber(text);
  if (!parsed.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--size: '", text,
                     "' is no size; give bytes, a number with k, m, g or t, or a percentage"));
  }
  const uint64_t bytes = *parsed == 0 ? memory : *parsed;
  if (bytes > kMaxSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("--size: '", text, "' is more than a process can address (128t)"));
  }
  return (bytes + kPageSize - 1) / kPageSize * kPageSize;
}

absl::StatusOr<uint64_t> ParseBlockCount(absl::string_view text) {
  const std::optional<uint64_t> count = ParseScaledNumber(text);
  if (!count.has_value() || *count > kMaxSize / kPageSize) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--nr_blocks: '", text, "' is no count of pages; give a number, or one with k, m or g"));
  }
  return *count * kPageSize;
}

std::optional<std::string> WarnOfSize(uint64_t bytes, std::optional<uint64_t> cgroup_limit) {
  // A page is added because the size is rounded up to whole pages.
  if (!cgroup_limit.has_value() || bytes < RoomForFiles(*cgroup_limit) + kPageSize) {
    return std::nullopt;
  }
  return absl::StrCat("the size of ", bytes, " bytes is more than the control group leaves, ",
                      RoomForFiles(*cgroup_limit), " of its limit of ", *cgroup_limit,
                      " bytes: operations find no space before that size is reached");
}

std::string FormatSize(uint64_t bytes) {
  int shift = 10;
  absl::string_view units = "KMGT";
  while (units.size() > 1 && bytes >> (shift + 10) != 0) {
    shift += 10;
    units.remove_prefix(1);
  }
  const uint64_t tenths = bytes / ((uint64_t{1} << shift) / 1024) * 10 / 1024;
  return absl::StrCat(tenths / 10, ".", tenths % 10, " ", units.substr(0, 1), "iB");
}

absl::StatusOr<uint64_t> ParseInodeCount(absl::string_view text) {
  const std::optional<uint64_t> count = ParseScaledNumber(text);
  if (!count.has_value() || *count > kUnlimitedInodes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--nr_inodes: '", text, "' is no count of inodes; give a number, or one with k, m or g"));
  }
  return *count == 0 ? kUnlimitedInodes : *count;
}

}  // namespace memfuse::cli
