#include "src/cli/oom_score.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {
namespace {

// The same value as in the unit of the service.
constexpr int kProtected = -900;
// The step of the search for the lowest permitted value, which cannot be queried.
constexpr int kStep = 50;

}  // namespace

void LowerOomScore(bool background, const std::string& directory) {
  const base::UniqueFd file(
      open(absl::StrCat(directory, "/oom_score_adj").c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid()) return;
  char text[16];
  const ssize_t size = pread(file.get(), text, sizeof(text), 0);
  int present;
  if (size <= 0 || !absl::SimpleAtoi(absl::StripAsciiWhitespace(
                                         absl::string_view(text, static_cast<size_t>(size))),
                                     &present)) {
    return;
  }
  if (present < 0 || (present > 0 && !background)) return;
  for (int wanted = kProtected; wanted < present; wanted += kStep) {
    const std::string value = absl::StrCat(wanted);
    if (pwrite(file.get(), value.data(), value.size(), 0) >= 0) return;
  }
}

}  // namespace memfuse::cli
