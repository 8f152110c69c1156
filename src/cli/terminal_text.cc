#include "src/cli/terminal_text.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace memfuse::cli {
namespace {

// The number of bytes of the control character that `text` begins with; 0: another character.
size_t ControlAt(absl::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte < 32 || byte == 127) return 1;
  if (byte != 0xc2 || text.size() < 2) return 0;
  const auto next = static_cast<unsigned char>(text[1]);
  return next >= 0x80 && next < 0xa0 ? 2 : 0;
}

bool HasControl(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (ControlAt(text.substr(i)) != 0) return true;
  }
  return false;
}

}  // namespace

std::string FormatCount(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string QuoteName(absl::string_view name) {
  if (!HasControl(name) && !absl::StartsWith(name, "$'")) return std::string(name);
  std::string quoted = "$'";
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const size_t control = ControlAt(name.substr(i));
    if (c == '\\' || c == '\'') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (control == 0) {
      quoted += c;
    } else {
      // Three octal digits: bash reads no further digit.
      for (size_t k = 0; k < control; ++k) {
        absl::StrAppendFormat(&quoted, "\\%03o", static_cast<unsigned char>(name[i + k]));
      }
      i += control - 1;
    }
  }
  return quoted + "'";
}

}  // namespace memfuse::cli
