#include "src/cli/message.h"

#include <cerrno>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "src/cli/service_manager.h"

namespace memfuse::cli {
namespace {

// 0 where the code says no more than the sentence does.
int ErrnoOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return EINVAL;
    case absl::StatusCode::kNotFound:
      return ENOENT;
    case absl::StatusCode::kPermissionDenied:
      return EACCES;
    case absl::StatusCode::kDeadlineExceeded:
      return ETIMEDOUT;
    case absl::StatusCode::kResourceExhausted:
      return ENOMEM;
    case absl::StatusCode::kUnimplemented:
      return EOPNOTSUPP;
    default:
      return 0;
  }
}

int Fail(absl::string_view sentence, int error) {
  const std::string line =
      StderrIsJournal() ? absl::StrCat("<3>", OneLine(sentence), "\n") : ErrorLine(sentence);
  std::fputs(line.c_str(), stderr);
  TellFailure(sentence, error);
  return 1;
}

}  // namespace

std::string OneLine(absl::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return line;
}

std::string ErrorLine(absl::string_view sentence) {
  return absl::StrCat("memfuse: ", OneLine(sentence), "\n");
}

int Fail(absl::string_view sentence) { return Fail(sentence, 0); }

int Fail(const absl::Status& status) { return Fail(status.message(), ErrnoOf(status.code())); }

}  // namespace memfuse::cli
