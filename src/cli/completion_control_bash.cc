#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/cli/completion.h"
#include "src/cli/control_table.h"

namespace memfuse::cli {
namespace {

// The part that does not depend on the tables. Kept as in completion_bash.cc: bash replaces only
// the text after the last character of COMP_WORDBREAKS.
constexpr absl::string_view kControlFunction = R"bash(
# WORD: the mount points of memfuse that begin with the word. The table escapes spaces in octal.
_memfusectl_mounts() {
  local directory type
  while read -r _ directory type _; do
    if [[ $type == fuse.memfuse ]]; then
      printf -v directory '%b' "${directory//\\/\\0}"
      if [[ $directory == "$1"* ]]; then printf '%s\n' "$directory"; fi
    fi
  done <"${_memfusectl_table:-/proc/self/mounts}"
}

_memfusectl() {
  local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^=:]/}
  local word=${line##*[[:space:]]} words=() command='' operands=0 kept='' name answers one
  read -r -a words <<<"${line%"$word"}"
  if [[ -n $breaks && $word == *["$breaks"]* ]]; then kept=${word%"${word##*["$breaks"]}"}; fi
  for one in "${words[@]:1}"; do
    if [[ $one == -* ]]; then continue; fi
    if [[ -z $command ]]; then command=$one; else operands=$((operands + 1)); fi
  done

  if [[ $word == --*=* ]]; then
    name=${word%%=*}
    mapfile -t answers < <(_memfusectl_values "${name#--}" "${word#*=}")
    answers=("${answers[@]/#/"$name="}")
  elif [[ $word == -* ]]; then
    mapfile -t answers < <(compgen -W "$(_memfusectl_flags "$command")" -- "$word")
    if [[ ${#answers[@]} -eq 1 && ${answers[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
  elif [[ -z $command ]]; then
    mapfile -t answers < <(compgen -W "$_memfusectl_commands" -- "$word")
  elif [[ $operands -gt 0 ]]; then
    answers=()
  else
    case $(_memfusectl_operand "$command") in
      directory)
        mapfile -t answers < <({ _memfusectl_mounts "$word"; compgen -d -- "$word"; } | sort -u)
        ;;
      mount) mapfile -t answers < <(_memfusectl_mounts "$word") ;;
      *) answers=() ;;
    esac
    compopt -o filenames 2>/dev/null
  fi
  COMPREPLY=("${answers[@]#"$kept"}")
}
complete -F _memfusectl memfusectl
)bash";

const char* OperandName(ControlOperand operand) {
  switch (operand) {
    case ControlOperand::kMountPoint:
      return "mount";
    case ControlOperand::kDirectory:
      return "directory";
    case ControlOperand::kNone:
      break;
  }
  return "none";
}

}  // namespace

std::string BashControlCompletion() {
  std::vector<absl::string_view> names;
  std::string flag_cases, operand_cases, value_cases;
  for (const ControlCommand& command : ControlCommands()) {
    names.push_back(command.name);
    std::vector<std::string> flags;
    for (const ControlFlag& flag : ControlFlags()) {
      if (command.has_flag(flag.name)) {
        flags.push_back(absl::StrCat("--", flag.name, flag.is_switch() ? "" : "="));
      }
    }
    absl::StrAppend(&flag_cases, "    ", command.name, ") echo '", absl::StrJoin(flags, " "),
                    "' ;;\n");
    absl::StrAppend(&operand_cases, "    ", command.name, ") echo ", OperandName(command.operand),
                    " ;;\n");
  }
  for (const ControlFlag& flag : ControlFlags()) {
    if (flag.choices().empty()) continue;
    absl::StrAppend(&value_cases, "    ", flag.name, ") compgen -W '",
                    absl::StrJoin(flag.choices(), " "), "' -- \"$2\" ;;\n");
  }
  return absl::StrCat(
      "# bash completion for memfusectl(1)                    -*- shell-script -*-\n",
      "\n_memfusectl_commands='", absl::StrJoin(names, " "), "'\n\n",
      "# COMMAND: its flags.\n_memfusectl_flags() {\n  case $1 in\n", flag_cases,
      "    *) echo '--help --version' ;;\n  esac\n}\n\n",
      "# COMMAND: what its first operand is.\n_memfusectl_operand() {\n  case $1 in\n",
      operand_cases, "  esac\n}\n\n",
      "# NAME WORD: the values of a flag that begin with the word.\n",
      "_memfusectl_values() {\n  case $1 in\n", value_cases, "  esac\n}\n", kControlFunction);
}

}  // namespace memfuse::cli
