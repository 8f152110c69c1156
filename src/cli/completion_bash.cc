#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/cli/completion.h"
#include "src/cli/flag_table.h"

namespace memfuse::cli {
namespace {

// The bash commands that complete a value of the flag; empty if it cannot be completed.
std::string ValueCommand(const Flag& flag) {
  if (const auto choices = flag.choices(); !choices.empty()) {
    return absl::StrCat("compgen -W '", absl::StrJoin(choices, " "), "' -- \"$2\"");
  }
  if (flag.value == "DIR") return "compgen -d -- \"$2\"";
  if (flag.value == "USER") return "compgen -u -- \"$2\"";
  if (flag.value == "GROUP") return "compgen -g -- \"$2\"";
  return "";
}

// The part that does not depend on the table. bash replaces only the text after the last character
// of COMP_WORDBREAKS, so the text before it is removed from the front of each answer.
constexpr absl::string_view kFunction = R"(
_memfuse() {
  local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^=:,]/}
  local word=${line##*[[:space:]]} before previous kept='' list item name answers
  before=${line%"$word"}
  before=${before%"${before##*[![:space:]]}"}
  previous=${before##*[[:space:]]}
  if [[ -n $breaks && $word == *["$breaks"]* ]]; then kept=${word%"${word##*["$breaks"]}"}; fi

  if [[ $previous == -o || $word == -o* ]]; then
    list=''
    if [[ $previous != -o ]]; then list=-o; fi
    item=${word#"$list"}
    if [[ $item == *,* ]]; then
      list=$list${item%,*},
      item=${item##*,}
    fi
    if [[ $item == *=* ]]; then
      name=${item%%=*}
      mapfile -t answers < <(_memfuse_values "$name" "${item#*=}")
      answers=("${answers[@]/#/"$list$name="}")
    else
      mapfile -t answers < <(compgen -W "$_memfuse_options" -- "$item")
      answers=("${answers[@]/#/"$list"}")
    fi
    compopt -o nospace 2>/dev/null
  elif [[ $word == --*=* ]]; then
    name=${word%%=*}
    mapfile -t answers < <(_memfuse_values "${name#--}" "${word#*=}")
    answers=("${answers[@]/#/"$name="}")
  elif [[ $word == -* ]]; then
    mapfile -t answers < <(compgen -W "$_memfuse_flags" -- "$word")
    if [[ ${#answers[@]} -eq 1 && ${answers[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
  elif [[ " $_memfuse_flags " == *" $previous= "* ]]; then
    mapfile -t answers < <(_memfuse_values "${previous#--}" "$word")
  else
    mapfile -t answers < <(compgen -d -- "$word")
    compopt -o filenames 2>/dev/null
  fi
  COMPREPLY=("${answers[@]#"$kept"}")
}
complete -F _memfuse memfuse
)";

}  // namespace

std::string BashCompletion() {
  std::vector<std::string> flags;
  std::vector<std::string> options;
  std::string cases;
  for (const Flag& flag : FlagTable()) {
    if (!flag.is_shown()) continue;
    const std::string name = absl::StrCat(flag.shown_name(), flag.is_switch ? "" : "=");
    if (flag.place != FlagPlace::kMountFlag) flags.push_back(absl::StrCat("--", name));
    if (flag.is_mount_option()) options.push_back(name);
    if (const std::string command = ValueCommand(flag); !command.empty()) {
      absl::StrAppend(&cases, "    ", flag.name, ") ", command, " ;;\n");
    }
  }
  return absl::StrCat(
      "# bash completion for memfuse(1)                       -*- shell-script -*-\n",
      "\n_memfuse_flags='", absl::StrJoin(flags, " "), "'\n_memfuse_options='",
      absl::StrJoin(options, " "), "'\n\n",
      "# NAME WORD: the values of a flag that begin with the word.\n",
      "_memfuse_values() {\n  case $1 in\n", cases, "  esac\n}\n", kFunction);
}

}  // namespace memfuse::cli
