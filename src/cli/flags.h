// The flags, and one function that sets them for the command line and for -o. flags.inc lists the
// flags.

#ifndef MEMFUSE_SRC_CLI_FLAGS_H_
#define MEMFUSE_SRC_CLI_FLAGS_H_

#include <gflags/gflags_declare.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#define FLAG(type, name, ...) DECLARE_##type(name);
#define BORROWED(type, name, ...) DECLARE_##type(name);
#define SYNONYM(...)
#define RESERVED(...)
#include "src/cli/flags.inc"
#undef FLAG
#undef BORROWED
#undef SYNONYM
#undef RESERVED

namespace memfuse::cli {

enum class FlagKind {
  kUnknown,
  kSwitch,       // true or false; may stand alone, or with "no" before its name
  kValue,        // needs a value
  kUnsupported,  // has a meaning, but not in this version
};

// `name` without dashes.
FlagKind KindOfFlag(absl::string_view name);

// Whether `name` is "no" and the name of a switch.
bool IsNegatedSwitch(absl::string_view name);

// Sets a flag. No value means that a switch stands alone, or that the value is missing. A flag that
// is set again takes the later value, except that the rules of --quota add up. Errors, with a
// sentence for the user: InvalidArgument (unknown, no value, not of the flag's type, none of its
// values) or Unimplemented (kUnsupported).
absl::Status SetFlag(absl::string_view name, std::optional<absl::string_view> value);

// Whether the user set the flag, to any value.
bool IsFlagSet(const char* name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_FLAGS_H_
