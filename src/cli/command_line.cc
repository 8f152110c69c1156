#include "src/cli/command_line.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "src/cli/flags.h"
#include "src/cli/mount_option_list.h"

namespace memfuse::cli {
namespace {

class FlagParser {
 public:
  explicit FlagParser(absl::Span<const std::string> arguments) : rest_(arguments) {}

  absl::StatusOr<std::vector<std::string>> Parse() {
    while (!rest_.empty()) {
      const std::string& argument = Take();
      if (argument == "--") {
        operands_.insert(operands_.end(), rest_.begin(), rest_.end());
        break;
      }
      if (argument.size() < 2 || argument.front() != '-') {
        operands_.push_back(argument);
        continue;
      }
      if (absl::Status status = ParseFlag(argument); !status.ok()) return status;
    }
    return operands_;
  }

 private:
  const std::string& Take() {
    const std::string& argument = rest_.front();
    rest_.remove_prefix(1);
    return argument;
  }

  absl::Status ParseFlag(absl::string_view argument) {
    if (argument == "-f") return SetFlag("foreground", "true");
    if (argument == "-h") return SetFlag("help", "true");
    if (argument == "-o") {
      if (rest_.empty()) return absl::InvalidArgumentError("-o needs a list of mount options");
      return ApplyMountOptions(Take());
    }
    if (absl::StartsWith(argument, "-o")) return ApplyMountOptions(argument.substr(2));

    argument.remove_prefix(absl::StartsWith(argument, "--") ? 2 : 1);
    const size_t equals = argument.find('=');
    const absl::string_view name = argument.substr(0, equals);
    std::optional<absl::string_view> value;
    if (equals != absl::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (KindOfFlag(name) == FlagKind::kValue && !rest_.empty()) {
      value = Take();
    }
    return SetFlag(name, value);
  }

  absl::Span<const std::string> rest_;
  std::vector<std::string> operands_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseCommandLine(absl::Span<const std::string> arguments) {
  return FlagParser(arguments).Parse();
}

}  // namespace memfuse::cli
