#include "src/cli/size.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace memfuse::cli {
namespace {

constexpr uint64_t kPageSize = 4096;

// Digits only: SimpleAtoi alone would let spaces and signs through.
std::optional<uint64_t> ParseDigits(absl::string_view text) {
  if (text.empty()) return std::nullopt;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
  }
  uint64_t value;
  if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

int ShiftOfSuffix(char suffix) {
  switch (absl::ascii_tolower(static_cast<unsigned char>(suffix))) {
    case 'k':
      return 10;
    case 'm':
      return 20;
    case 'g':
      return 30;
    case 't':
      return 40;
    default:
      return 0;
  }
}

// Nothing when `text` is no number, or the result does not fit.
std::optional<uint64_t> ParseScaled(absl::string_view text) {
  const int shift = text.empty() ? 0 : ShiftOfSuffix(text.back());
  if (shift != 0) text.remove_suffix(1);
  const std::optional<uint64_t> value = ParseDigits(text);
  if (!value.has_value() || *value > (UINT64_MAX >> shift)) return std::nullopt;
  return *value << shift;
}

std::optional<uint64_t> ParsePercentage(absl::string_view text, uint64_t memory) {
  text.remove_suffix(1);
  const std::optional<uint64_t> percent = ParseDigits(text);
  if (!percent.has_value()) return std::nullopt;
  const auto bytes = static_cast<unsigned __int128>(memory) * *percent / 100;
  return bytes > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(bytes);
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text, uint64_t memory) {
  const bool percentage = !text.empty() && text.back() == '%';
  const std::optional<uint64_t> parsed =
      percentage ? ParsePercentage(text, memory) : ParseScaled(text);
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
  const std::optional<uint64_t> count = ParseScaled(text);
  if (!count.has_value() || *count > kUnlimitedInodes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--nr_inodes: '", text, "' is no count of inodes; give a number, or one with k, m or g"));
  }
  return *count == 0 ? kUnlimitedInodes : *count;
}

}  // namespace memfuse::cli
