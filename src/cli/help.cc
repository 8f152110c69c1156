#include "src/cli/help.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "src/cli/flag_table.h"

namespace memfuse::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kColumn = 22;  // where explanations begin

// `left`, and `text` in its column, with line breaks between words.
std::string Paragraph(absl::string_view left, absl::string_view text) {
  std::string result;
  std::string line = absl::StrCat("  ", left);
  // A left side that is too long is on a separate line.
  if (line.size() + 1 > kColumn) {
    result = absl::StrCat(line, "\n");
    line.clear();
  }
  line.resize(kColumn, ' ');
  bool first = true;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(&result, line, "\n");
      line.assign(kColumn, ' ');
      first = true;
    }
    absl::StrAppend(&line, first ? "" : " ", word);
    first = false;
  }
  return absl::StrCat(result, line, "\n");
}

bool ShowsDefaultAsValue(const Flag& flag) {
  return !flag.default_value.empty() && (!flag.default_in_words || !flag.choices().empty());
}

// "--size=50%", "--nr_inodes=COUNT", "--noswap".
std::string LeftSide(const Flag& flag) {
  std::string left = absl::StrCat("--", flag.shown_name());
  if (flag.is_switch) return left;
  return absl::StrCat(left, "=", ShowsDefaultAsValue(flag) ? flag.default_value : flag.value);
}

std::string RightSide(const Flag& flag) {
  std::string text(flag.help);
  if (const auto choices = flag.choices(); !choices.empty()) {
    absl::StrAppend(&text, ": ", absl::StrJoin(choices, ", "));
  }
  std::vector<std::string> remarks;
  if (!flag.unit.empty()) remarks.emplace_back(flag.unit);
  if (!flag.default_value.empty() && !ShowsDefaultAsValue(flag))
    remarks.push_back(absl::StrCat("default: ", flag.default_value));
  if (!remarks.empty()) absl::StrAppend(&text, " (", absl::StrJoin(remarks, "; "), ")");
  return text;
}

}  // namespace

std::string HelpText() {
  std::string text =
      "Usage: memfuse MOUNTPOINT [flags]\n"
      "A file system in memory, like tmpfs, served over FUSE until it is unmounted.\n\n";
  std::vector<std::string> switches;
  std::vector<std::string> elsewhere;
  for (const Flag& flag : FlagTable()) {
    if (flag.place == FlagPlace::kMountFlag) switches.push_back(flag.shown_name());
    if (flag.place == FlagPlace::kCommandLine) elsewhere.push_back(flag.shown_name());
    if (flag.place == FlagPlace::kMountFlag || !flag.is_shown()) continue;
    absl::StrAppend(&text, Paragraph(LeftSide(flag), RightSide(flag)));
  }
  absl::StrAppend(&text,
                  Paragraph("-o a,b=c", absl::StrCat("the flags above by name, but for ",
                                                     absl::StrJoin(elsewhere, ", "), "; and ",
                                                     absl::StrJoin(switches, ", "))));
  absl::StrAppend(&text,
                  "\nUnmount with umount(8), 'fusermount3 -u' or SIGTERM; SIGUSR1 logs the "
                  "requests.\n");
  return text;
}

absl::string_view VersionText() { return "memfuse " MEMFUSE_VERSION "\n"; }

absl::string_view VersionNumber() { return MEMFUSE_VERSION; }

}  // namespace memfuse::cli
