#include "src/cli/message.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace memfuse::cli {
namespace {

Speaker speaker = Speaker::kMemfuse;

}  // namespace

void SpeakAs(Speaker new_speaker) { speaker = new_speaker; }

std::string ErrorLine(absl::string_view sentence) {
  std::string line =
      absl::StrCat(speaker == Speaker::kMemfuse ? "memfuse: " : "mount.memfuse: ", sentence);
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  line.push_back('\n');
  return line;
}

int ExitStatus(absl::StatusCode code) {
  if (speaker == Speaker::kMemfuse) return 1;
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kPermissionDenied:
      return 1;
    case absl::StatusCode::kResourceExhausted:
      return 2;
    default:
      return 32;
  }
}

int Fail(const absl::Status& status) {
  std::fputs(ErrorLine(status.message()).c_str(), stderr);
  return ExitStatus(status.code());
}

int Fail(absl::string_view sentence) { return Fail(absl::InternalError(sentence)); }

}  // namespace memfuse::cli
