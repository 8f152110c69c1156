#include "src/cli/doctor_report.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "src/cli/message.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

constexpr size_t kColumn = 26;  // where sentences begin

const char* NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNote:
      return "note";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      return "problem";
    case Verdict::kOk:
      break;
  }
  return "ok";
}

const char* ColourOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNote:
      return "\033[36m";
    case Verdict::kWarning:
      return "\033[33m";
    case Verdict::kProblem:
      return "\033[31m";
    case Verdict::kOk:
      break;
  }
  return "\033[32m";
}

// The sentence, whose first line begins in kColumn already.
std::string Sentence(absl::string_view text, size_t width) {
  std::string result;
  size_t column = kColumn;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > kColumn && width > kColumn && column + 1 + word.size() > width) {
      absl::StrAppend(&result, "\n", std::string(kColumn, ' '));
      column = kColumn;
    }
    absl::StrAppend(&result, column > kColumn ? " " : "", word);
    column += (column > kColumn ? 1 : 0) + word.size();
  }
  return absl::StrCat(result, "\n");
}

std::string Number(int count, const char* word) {
  return absl::StrCat(count == 0 ? "no" : absl::StrCat(count), " ", word, count == 1 ? "" : "s");
}

}  // namespace

ReportStyle StyleOfStandardOutput() {
  ReportStyle style;
  if (isatty(STDOUT_FILENO) == 0) return style;
  // No thread of this program changes the environment.
  const char* const no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
  const char* const terminal = std::getenv("TERM");       // NOLINT(concurrency-mt-unsafe)
  style.colour = (no_colour == nullptr || *no_colour == '\0') &&
                 (terminal == nullptr || absl::string_view(terminal) != "dumb");
  winsize size = {};
  style.width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  return style;
}

std::string DoctorText(const Findings& findings, uint32_t uid, const std::string& mount_point,
                       const ReportStyle& style) {
  std::string text = mount_point.empty()
                         ? absl::StrCat("This machine, for user ", uid, ":\n")
                         : absl::StrCat(OneLine(mount_point), ", for user ", uid, ":\n");
  for (const Finding& finding : findings) {
    absl::StrAppend(&text, style.colour ? ColourOf(finding.verdict) : "",
                    absl::StrFormat("%-9s", NameOf(finding.verdict)), style.colour ? "\033[0m" : "",
                    absl::StrFormat("%-17s", finding.check),
                    Sentence(OneLine(finding.found), style.width));
    if (!finding.advice.empty()) {
      absl::StrAppend(&text, std::string(kColumn - 3, ' '), "-> ",
                      Sentence(OneLine(finding.advice), style.width));
    }
  }
  const auto count = [&findings](Verdict verdict) {
    return static_cast<int>(
        std::count_if(findings.begin(), findings.end(),
                      [verdict](const Finding& finding) { return finding.verdict == verdict; }));
  };
  return absl::StrCat(text, "\n", Number(count(Verdict::kProblem), "problem"), ", ",
                      Number(count(Verdict::kWarning), "warning"), ", ",
                      Number(count(Verdict::kNote), "note"), "\n");
}

std::string DoctorJson(const Findings& findings, uint32_t uid, const std::string& mount_point) {
  json list = json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"check", finding.check},
                    {"result", NameOf(finding.verdict)},
                    {"found", finding.found},
                    {"advice", finding.advice}});
  }
  const json report = {{"uid", uid},
                       {"mount_point", mount_point.empty() ? json() : json(mount_point)},
                       {"status", StatusOf(findings)},
                       {"findings", list}};
  return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace memfuse::cli
