#include "src/cli/number.h"

#include <charconv>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace memfuse::cli {

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  int base = 10;
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  uint64_t value;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseScaledNumber(absl::string_view text) {
  constexpr absl::string_view kSuffixes = "kmgtpe";
  int shift = 0;
  // The e at the end of a hexadecimal number is a digit, as in the kernel.
  const bool hexadecimal = absl::StartsWithIgnoreCase(text, "0x");
  if (!text.empty()) {
    const char last = absl::ascii_tolower(static_cast<unsigned char>(text.back()));
    const size_t power = kSuffixes.find(last);
    if (power != absl::string_view::npos && !(hexadecimal && last == 'e')) {
      shift = 10 * static_cast<int>(power + 1);
      text.remove_suffix(1);
    }
  }
  const std::optional<uint64_t> value = ParseNumber(text);
  if (!value.has_value() || *value > (UINT64_MAX >> shift)) return std::nullopt;
  return *value << shift;
}

}  // namespace memfuse::cli
