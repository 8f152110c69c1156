#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "src/cli/completion.h"
#include "src/cli/flag_table.h"

namespace memfuse::cli {
namespace {

// Escapes text inside [...] between single quotes.
std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

// ":description:completion action"; empty for a switch.
std::string ValueSpec(const Flag& flag) {
  if (flag.is_switch) return "";
  std::string action;
  if (const auto choices = flag.choices(); !choices.empty()) {
    action = absl::StrCat("(", absl::StrJoin(choices, " "), ")");
  }
  if (flag.value == "DIR") action = "_directories";
  if (flag.value == "USER") action = "_users";
  if (flag.value == "GROUP") action = "_groups";
  return absl::StrCat(":", Escape(flag.unit.empty() ? flag.name : flag.unit), ":", action);
}

}  // namespace

std::string ZshCompletion() {
  std::string flags;
  std::string options;
  for (const Flag& flag : FlagTable()) {
    if (!flag.is_shown()) continue;
    const std::string name = flag.shown_name();
    const std::string help = absl::StrCat("[", Escape(flag.help), "]", ValueSpec(flag));
    if (flag.place != FlagPlace::kMountFlag) {
      absl::StrAppend(&flags, "  '--", name, flag.is_switch ? "" : "=", help, "' \\\n  ");
    }
    if (flag.is_mount_option()) absl::StrAppend(&options, "      '", name, help, "' \\\n");
  }
  return absl::StrCat(R"(#compdef memfuse

_memfuse_options() {
  _values -s , 'mount option' \
)",
                      options, R"(
}

_memfuse() {
  _arguments \
  )",
                      flags, R"(  '-f[stay, and log to standard error]' \
    '-h[print a summary of the flags]' \
    '*-o+[mount options]:mount option:_memfuse_options' \
    '1:mount point:_directories'
}

_memfuse "$@"
)");
}

}  // namespace memfuse::cli
