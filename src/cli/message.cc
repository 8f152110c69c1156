#include "src/cli/message.h"

#include <cerrno>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "src/cli/service_manager.h"

namespace memfuse::cli {
namespace {

ProgramKind speaker = ProgramKind::kMemfuse;

// 0 if the code has no more information than the sentence.
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

}  // namespace

void SetProgramName(ProgramKind new_speaker) { speaker = new_speaker; }

std::string OneLine(absl::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return line;
}

std::string ErrorLine(absl::string_view sentence) {
  return absl::StrCat(speaker == ProgramKind::kMemfuse   ? "memfuse: "
                      : speaker == ProgramKind::kControl ? "memfusectl: "
                                                         : "mount.memfuse: ",
                      OneLine(sentence), "\n");
}

int ExitStatus(absl::StatusCode code) {
  if (speaker != ProgramKind::kMountHelper) return 1;
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
  const absl::string_view sentence = status.message();
  const std::string line =
      StderrIsJournal() ? absl::StrCat("<3>", OneLine(sentence), "\n") : ErrorLine(sentence);
  std::fputs(line.c_str(), stderr);
  NotifyFailure(sentence, ErrnoOf(status.code()));
  return ExitStatus(status.code());
}

int Fail(absl::string_view sentence) { return Fail(absl::InternalError(sentence)); }

void Warn(absl::string_view sentence) {
  std::fputs(ErrorLine(absl::StrCat("warning: ", sentence)).c_str(), stderr);
}

}  // namespace memfuse::cli
