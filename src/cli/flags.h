// The flags, and one way to set them for the command line and for -o alike.

#ifndef MEMFUSE_SRC_CLI_FLAGS_H_
#define MEMFUSE_SRC_CLI_FLAGS_H_

#include <gflags/gflags_declare.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

DECLARE_int32(threads);
DECLARE_string(size);
DECLARE_string(nr_inodes);
DECLARE_string(mode);
DECLARE_string(uid);
DECLARE_string(gid);
DECLARE_bool(allow_other);
DECLARE_bool(writeback);
DECLARE_string(huge);
DECLARE_bool(noswap);
DECLARE_bool(xattr);
DECLARE_string(fsname);
DECLARE_bool(remount);
DECLARE_bool(ro);
DECLARE_bool(suid);
DECLARE_bool(dev);
DECLARE_bool(exec);
DECLARE_bool(atime);
DECLARE_bool(foreground);
DECLARE_string(data);
DECLARE_string(transport);
DECLARE_int32(fuse_fd);

// Defined by gflags and glog themselves.
DECLARE_bool(help);
DECLARE_bool(version);
DECLARE_string(log_dir);

namespace memfuse::cli {

enum class FlagKind {
  kUnknown,
  kSwitch,       // true or false; may stand alone, or with "no" before its name
  kValue,        // needs a value
  kUnsupported,  // has a meaning, but not in this version
};

// `name` without dashes.
FlagKind KindOfFlag(const std::string& name);

// Whether `name` is "no" and the name of a switch.
bool IsNegatedSwitch(absl::string_view name);

// Sets a flag; no value means that a switch stands alone, or that the value is missing. A flag
// that is set again takes the later value. InvalidArgument (unknown, no value, not of the flag's
// type) or Unimplemented (kUnsupported), with a sentence for the user.
absl::Status SetFlag(absl::string_view name, std::optional<absl::string_view> value);

// Whether the user set the flag, whatever to.
bool IsFlagSet(const char* name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_FLAGS_H_
