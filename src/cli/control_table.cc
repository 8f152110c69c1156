#include "src/cli/control_table.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace memfuse::cli {
namespace {

constexpr ControlFlag kControlFlags[] = {
    {"json", "", "print JSON"},
    {"by", "uid|gid|path|dir|type", "by whom, or by what"},
    {"largest", "", "the largest files"},
    {"deleted", "", "deleted files that are still in use"},
    {"limit", "ROWS", "number of lines"},
    {"interval", "SECONDS", "between two readings, 2 by default"},
    {"once", "", "print one interval as text"},
    {"size", "AMOUNT", "as --size of memfuse"},
    {"nr_inodes", "COUNT", "as --nr_inodes of memfuse"},
    {"quota", "RULE,RULE", "as --quota of memfuse"},
    {"data", "auto|passthrough|daemon|null", "as --data of memfuse"},
    {"transport", "auto|dev|uring", "as --transport of memfuse"},
    {"allow_other", "", "as --allow_other of memfuse"},
};

constexpr ControlCommand kControlCommands[] = {
    {"status", "[DIRECTORY]", ControlOperand::kDirectory, 0, 1, "json",
     "what a mount holds and serves"},
    {"usage", "[DIRECTORY [PATH]]", ControlOperand::kDirectory, 0, 2,
     "by largest deleted limit json", "what users, directories and files store"},
    {"top", "[DIRECTORY]", ControlOperand::kDirectory, 0, 1, "interval once",
     "operations, processes, users, directories, live"},
    {"limits", "[DIRECTORY]", ControlOperand::kDirectory, 0, 1, "size nr_inodes quota json",
     "size, number of inodes and quotas, or changes them"},
    {"resize", "DIRECTORY AMOUNT", ControlOperand::kMountPoint, 2, 2, "json",
     "the same as limits --size"},
    {"unmount", "DIRECTORY", ControlOperand::kMountPoint, 1, 1, "", "unmounts"},
    {"list", "", ControlOperand::kNone, 0, 0, "json", "the mounts of this machine"},
    {"doctor", "[MOUNTPOINT]", ControlOperand::kDirectory, 0, 1,
     "size data transport allow_other json", "why a mount fails, is slow or not as asked"},
};

const ControlFlag* FindControlFlag(absl::string_view name) {
  for (const ControlFlag& flag : kControlFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

constexpr absl::string_view kHint = "'memfusectl --help' lists them";

absl::Status ReadFlag(const std::string& word, ControlCall* call) {
  absl::string_view text = word;
  const bool two_dashes = absl::ConsumePrefix(&text, "--");
  const size_t equals = text.find('=');
  const absl::string_view name = text.substr(0, equals);
  const ControlFlag* const flag = two_dashes ? FindControlFlag(name) : nullptr;
  if (flag == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("unknown option '", word, "'; ", kHint));
  }
  if (flag->is_switch()) {
    if (equals != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
    }
    call->flags[std::string(name)] = "true";
    return absl::OkStatus();
  }
  if (equals == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, " needs a value: --", name, "=", flag->value));
  }
  const absl::string_view value = text.substr(equals + 1);
  const std::vector<absl::string_view> choices = flag->choices();
  if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--", name, ": '", value, "' is none of ",
        absl::StrJoin(choices.begin(), choices.end() - 1, ", "), " and ", choices.back()));
  }
  call->flags[std::string(name)] = std::string(value);
  return absl::OkStatus();
}

absl::Status CheckOperands(const ControlCall& call) {
  const ControlCommand& command = *call.command;
  const size_t count = call.operands.size();
  if (count < command.min_operands) {
    return absl::InvalidArgumentError(
        absl::StrCat("'memfusectl ", command.name, "' needs ",
                     command.min_operands == 1 ? "a directory" : "a directory and a size"));
  }
  if (count <= command.max_operands) return absl::OkStatus();
  const std::string& extra = call.operands[command.max_operands];
  if (command.max_operands == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'memfusectl ", command.name, "' has no operand, but '", extra, "' is given"));
  }
  return absl::InvalidArgumentError(absl::StrCat(command.max_operands == 1 ? "one directory is"
                                                 : command.min_operands == 2
                                                     ? "a directory and a size are"
                                                     : "a directory and a path in it are",
                                                 " expected, but '", extra, "' is given as well"));
}

}  // namespace

std::vector<absl::string_view> ControlFlag::choices() const {
  if (!absl::StrContains(value, '|')) return {};
  return absl::StrSplit(value, '|');
}

bool ControlCommand::has_flag(absl::string_view flag_name) const {
  for (const absl::string_view one : absl::StrSplit(flags, ' ')) {
    if (one == flag_name) return true;
  }
  return false;
}

absl::Span<const ControlCommand> ControlCommands() { return kControlCommands; }
absl::Span<const ControlFlag> ControlFlags() { return kControlFlags; }

std::optional<std::string> ControlCall::value(absl::string_view flag) const {
  const auto found = flags.find(flag);
  if (found == flags.end()) return std::nullopt;
  return found->second;
}

absl::StatusOr<ControlCall> ParseControlCall(const std::vector<std::string>& words) {
  ControlCall call;
  std::vector<std::string> operands;
  bool only_operands = false;
  for (const std::string& word : words) {
    if (only_operands || word.empty() || word[0] != '-' || word == "-") {
      operands.push_back(word);
    } else if (word == "--") {
      only_operands = true;
    } else if (const absl::Status status = ReadFlag(word, &call); !status.ok()) {
      return status;
    }
  }
  if (operands.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no command is given; ", kHint));
  }
  for (const ControlCommand& command : kControlCommands) {
    if (command.name == operands[0]) call.command = &command;
  }
  if (call.command == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no command '", operands[0], "'; ", kHint));
  }
  for (const auto& [name, value] : call.flags) {
    if (!call.command->has_flag(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'memfusectl ", call.command->name, "' has no option --", name));
    }
  }
  call.operands.assign(operands.begin() + 1, operands.end());
  if (const absl::Status status = CheckOperands(call); !status.ok()) return status;
  return call;
}

std::string ControlHelpText() {
  std::string text = "Usage: memfusectl COMMAND [DIRECTORY] [flags]\n\nCommands:\n";
  for (const ControlCommand& command : kControlCommands) {
    const std::string left = absl::StrCat(command.name, " ", command.operands);
    absl::StrAppendFormat(&text, "  %-27s %s\n", left, command.help);
  }
  absl::StrAppend(&text, "\nFlags, with the commands that have them:\n");
  for (const ControlFlag& flag : kControlFlags) {
    std::vector<absl::string_view> names;
    for (const ControlCommand& command : kControlCommands) {
      if (command.has_flag(flag.name)) names.push_back(command.name);
    }
    const std::string left = absl::StrCat("--", flag.name, flag.is_switch() ? "" : "=", flag.value);
    if (left.size() > 26) {
      absl::StrAppend(&text, "  ", left, "\n");
      absl::StrAppendFormat(&text, "  %-27s %s", "", flag.help);
    } else {
      absl::StrAppendFormat(&text, "  %-27s %s", left, flag.help);
    }
    absl::StrAppend(&text, names.size() > 2 ? absl::StrCat("\n", std::string(30, ' ')) : " ", "(",
                    absl::StrJoin(names, ", "), ")\n");
  }
  absl::StrAppend(
      &text,
      "\nDIRECTORY is the mount point or below it; without one it is the current\n"
      "directory. PATH is a directory from the root of the file system; without one it\n"
      "is DIRECTORY. 'doctor' without a mount point examines the machine. See\n"
      "memfusectl(1).\n");
  return text;
}

}  // namespace memfuse::cli
