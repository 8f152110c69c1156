// What a run of the program is to do, checked as far as it can be without touching the mount point.

#ifndef MEMFUSE_SRC_CLI_OPTIONS_H_
#define MEMFUSE_SRC_CLI_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/session.h"
#include "src/cli/machine.h"

namespace memfuse::cli {

struct Options {
  MemoryFileSystemOptions filesystem;
  SessionOptions session;
  MountOptions mount;
  int fuse_fd = -1;  // to be adopted instead of mounting; -1: mount
  bool require_io_uring = false;
  bool foreground = false;
  std::string log_dir;  // empty: syslog, or stderr in the foreground
  // Sentences for the user about what was asked for and is taken all the same.
  std::vector<std::string> warnings;
};

// From the flags and the operands of the command line. InvalidArgument or Unimplemented, with one
// sentence for the user. The mount point may be left out, and stays empty, only with --fuse_fd.
absl::StatusOr<Options> ResolveOptions(const std::vector<std::string>& operands,
                                       const Machine& machine);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_OPTIONS_H_
