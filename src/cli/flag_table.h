// The rows of flags.inc as data, for code that shows or checks flags. Does not need gflags.

#ifndef MEMFUSE_SRC_CLI_FLAG_TABLE_H_
#define MEMFUSE_SRC_CLI_FLAG_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace memfuse::cli {

enum class FlagPlace {
  kAnywhere,     // --name, and name after -o
  kCommandLine,  // --name only
  kMountFlag,    // as kAnywhere, but a switch of every file system; shown with -o
  kMountOption,  // name after -o, for options of tmpfs; described in mount.memfuse(8) only
  kHidden,       // --name only, for benchmarks; neither shown nor completed nor described
  kReserved,     // has a meaning, but not in this version
};

struct Flag {
  absl::string_view name;  // without dashes
  bool is_switch;          // true or false; may stand alone, or with "no" before its name
  bool on_by_default;      // of a switch
  // As the user would type it, or in words. Empty: no default, or a switch.
  absl::string_view default_value;
  bool default_in_words;
  absl::string_view value;  // a placeholder for the value, or "a|b|c": one of these
  absl::string_view unit;   // or range; may be empty
  FlagPlace place;
  absl::string_view help;  // for a switch: the effect of the setting that is not the default

  // "noxattr" for a switch that is on by default, otherwise the name.
  std::string shown_name() const;
  // The values of "a|b|c"; empty if there is no such list.
  std::vector<absl::string_view> choices() const;
  bool is_shown() const {
    return place == FlagPlace::kAnywhere || place == FlagPlace::kCommandLine ||
           place == FlagPlace::kMountFlag;
  }
  bool is_mount_option() const {
    return place == FlagPlace::kAnywhere || place == FlagPlace::kMountFlag ||
           place == FlagPlace::kMountOption;
  }
};

// All flags, in the order in which they are shown.
absl::Span<const Flag> FlagTable();

// nullptr: there is no flag of that name.
const Flag* FindFlag(absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_FLAG_TABLE_H_
