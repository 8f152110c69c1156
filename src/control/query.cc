#include "src/control/query.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace memfuse::control {
namespace {

// The unreserved characters.
bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("-._~").find(c) != absl::string_view::npos;
}

bool IsPermitted(char c) {
  return IsUnreserved(c) || absl::string_view("!$&'()*,;=:@/?").find(c) != absl::string_view::npos;
}

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return std::nullopt;
}

absl::StatusOr<std::string> Decode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+') {
      return absl::InvalidArgumentError(
          "a '+' in the query is ambiguous: %20 is a space, and %2B a plus sign");
    }
    if (c != '%') {
      if (!IsPermitted(c)) {
        return absl::InvalidArgumentError(
            absl::StrFormat("the query contains byte %d, which has to be written as %%%02X",
                            static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
      }
      decoded += c;
      continue;
    }
    const std::optional<int> high = i + 1 < text.size() ? HexDigit(text[i + 1]) : std::nullopt;
    const std::optional<int> low = i + 2 < text.size() ? HexDigit(text[i + 2]) : std::nullopt;
    if (!high.has_value() || !low.has_value()) {
      return absl::InvalidArgumentError("a '%' in the query is not followed by two hex digits");
    }
    const char byte = static_cast<char>(*high << 4 | *low);
    if (byte == '\0') return absl::InvalidArgumentError("the query contains a NUL");
    decoded += byte;
    i += 2;
  }
  return decoded;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseQuery(absl::string_view query) {
  std::map<std::string, std::string> pairs;
  if (query.empty()) return pairs;
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const size_t equals = pair.find('=');
    if (equals == absl::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError("the query is not of the form NAME=VALUE&NAME=VALUE");
    }
    absl::StatusOr<std::string> name = Decode(pair.substr(0, equals));
    if (!name.ok()) return name.status();
    absl::StatusOr<std::string> value = Decode(pair.substr(equals + 1));
    if (!value.ok()) return value.status();
    if (!pairs.emplace(*name, *std::move(value)).second) {
      return absl::InvalidArgumentError(absl::StrCat("the query has '", *name, "' twice"));
    }
  }
  return pairs;
}

std::string EncodeQueryValue(absl::string_view value) {
  std::string encoded;
  for (const char c : value) {
    if (IsUnreserved(c) || c == '/') {
      encoded += c;
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace memfuse::control
