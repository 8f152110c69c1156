// The commands and flags of memfusectl as data. Its command line, its help, the shell completions
// and the test of the manual page are made from these tables.

#ifndef MEMFUSE_SRC_CLI_CONTROL_TABLE_H_
#define MEMFUSE_SRC_CLI_CONTROL_TABLE_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace memfuse::cli {

struct ControlFlag {
  absl::string_view name;   // without dashes
  absl::string_view value;  // empty: a switch; "a|b|c": one of these; otherwise a placeholder
  absl::string_view help;

  bool is_switch() const { return value.empty(); }
  // The values of "a|b|c"; empty if there is no such list.
  std::vector<absl::string_view> choices() const;
};

// What the shells complete as the first operand of a command.
enum class ControlOperand {
  kNone,
  kMountPoint,  // a mount of memfuse
  kDirectory,   // a mount of memfuse, or any directory
};

struct ControlCommand {
  absl::string_view name;
  absl::string_view operands;  // as the help shows them: "[DIRECTORY]"
  ControlOperand operand;
  size_t min_operands;
  size_t max_operands;
  absl::string_view flags;  // the names of its flags, with a space between them
  absl::string_view help;

  bool has_flag(absl::string_view flag_name) const;
};

// All of them, in the order in which they are shown.
absl::Span<const ControlCommand> ControlCommands();
absl::Span<const ControlFlag> ControlFlags();

struct ControlCall {
  const ControlCommand* command = nullptr;
  std::vector<std::string> operands;
  std::map<std::string, std::string, std::less<>> flags;  // the value of a switch is "true"

  bool has(absl::string_view flag) const { return flags.find(flag) != flags.end(); }
  std::optional<std::string> value(absl::string_view flag) const;
};

// Reads the arguments after the name of the program. InvalidArgument, with one sentence, in this
// order: an unknown flag, a value that is missing or not one of the choices; no command; an unknown
// command; a flag that the command does not have; too few or too many operands.
absl::StatusOr<ControlCall> ParseControlCall(const std::vector<std::string>& words);

// The output of memfusectl --help, at most 80 columns wide.
std::string ControlHelpText();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_CONTROL_TABLE_H_
