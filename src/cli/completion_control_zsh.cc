#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "src/cli/completion.h"
#include "src/cli/control_table.h"

namespace memfuse::cli {
namespace {

// Escapes text inside [...] between single quotes.
std::string EscapeText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string FlagSpec(const ControlFlag& flag) {
  if (flag.is_switch()) return absl::StrCat("'--", flag.name, "[", EscapeText(flag.help), "]'");
  return absl::StrCat(
      "'--", flag.name, "=[", EscapeText(flag.help), "]:", EscapeText(flag.name), ":",
      flag.choices().empty() ? "" : absl::StrCat("(", absl::StrJoin(flag.choices(), " "), ")"),
      "'");
}

std::string OperandSpec(const ControlCommand& command) {
  switch (command.operand) {
    case ControlOperand::kMountPoint:
      return " '1:mount point:_memfusectl_mounts'";
    case ControlOperand::kDirectory:
      return " '1:directory:_memfusectl_directories'";
    case ControlOperand::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string ZshControlCompletion() {
  std::string names, cases;
  for (const ControlCommand& command : ControlCommands()) {
    absl::StrAppend(&names, "    '", command.name, ":", EscapeText(command.help), "'\n");
    std::string specs;
    for (const ControlFlag& flag : ControlFlags()) {
      if (command.has_flag(flag.name)) absl::StrAppend(&specs, " ", FlagSpec(flag));
    }
    if (command.operand == ControlOperand::kMountPoint && command.max_operands == 2) {
      specs += " '2:size:'";
    }
    const std::string all = absl::StrCat(specs, OperandSpec(command));
    absl::StrAppend(&cases, "    ", command.name, ")",
                    all.empty() ? "" : absl::StrCat(" _arguments", all), " ;;\n");
  }
  return absl::StrCat(
      R"(#compdef memfusectl

_memfusectl_mounts() {
  local -a mounts fields
  local line
  while read -r line; do
    fields=(${=line})
    if [[ $fields[3] == fuse.memfuse ]]; then mounts+=("${(g:o:)fields[2]}"); fi
  done <"${_memfusectl_table:-/proc/self/mounts}"
  compadd -f -a mounts
}

_memfusectl_directories() {
  _memfusectl_mounts
  _directories
}

_memfusectl() {
  local -a commands
  commands=(
)",
      names, R"(  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  local command=$words[2]
  (( CURRENT-- ))
  shift words
  case $command in
)",
      cases, R"(    *) _arguments '--help[print a summary]' '--version[print the version]' ;;
  esac
}

_memfusectl "$@"
)");
}

}  // namespace memfuse::cli
