#include "src/cli/message.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace memfuse::cli {

std::string ErrorLine(absl::string_view sentence) {
  std::string line = absl::StrCat("memfuse: ", sentence);
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  line.push_back('\n');
  return line;
}

int Fail(absl::string_view sentence) {
  std::fputs(ErrorLine(sentence).c_str(), stderr);
  return 1;
}

}  // namespace memfuse::cli
