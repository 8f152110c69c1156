// The rows of flags.inc as data, for whoever shows or checks flags. Needs no gflags.

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
  kMountFlag,    // as kAnywhere, but a switch that every file system has; shown with -o
  kReserved,     // has a meaning, but not in this version
};

struct Flag {
  absl::string_view name;  // without dashes
  bool is_switch;          // true or false; may stand alone, or with "no" before its name
  bool on_by_default;      // of a switch
  // As it would be typed, or in words. Empty: nothing, or a switch.
  absl::string_view default_value;
  bool default_in_words;
  absl::string_view value;  // what stands for the value, or "a|b|c": one of these
  absl::string_view unit;   // or range; may be empty
  FlagPlace place;
  absl::string_view help;  // of a switch: what it does where it is not as by default

  // "noxattr" for a switch that is on by default, otherwise the name.
  std::string shown_name() const;
  // The values of "a|b|c"; empty where there is no such list.
  std::vector<absl::string_view> choices() const;
  bool is_mount_option() const {
    return place == FlagPlace::kAnywhere || place == FlagPlace::kMountFlag;
  }
};

// All of them, in the order in which they are to be shown.
absl::Span<const Flag> FlagTable();

// nullptr: there is none of that name.
const Flag* FindFlag(absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_FLAG_TABLE_H_
