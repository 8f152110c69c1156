// The options of a run of the program, checked as far as possible without accessing the mount
// point.

#ifndef MEMFUSE_SRC_CLI_OPTIONS_H_
#define MEMFUSE_SRC_CLI_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/session.h"
#include "src/cli/listen_address.h"
#include "src/cli/machine.h"

namespace memfuse::cli {

struct Options {
  MemoryFileSystemOptions filesystem;
  SessionOptions session;
  MountOptions mount;
  int fuse_fd = -1;  // adopted instead of mounting; -1: mount
  bool require_io_uring = false;
  bool resilient = false;  // a keeper starts a successor when the server dies
  int hang_timeout = 30;   // seconds, with `resilient`; 0: none
  bool foreground = false;
  std::string log_dir;                   // empty: syslog, or stderr in the foreground
  bool control = true;                   // make a control socket
  std::optional<ListenAddress> metrics;  // where metrics are served
  std::string metrics_listen;            // the text of `metrics`
  bool metrics_allow_remote = false;
  bool metrics_show_directories = false;
  std::string quota;  // the text of filesystem.quotas
  // Warnings for the user about options that are accepted nevertheless, one sentence each.
  std::vector<std::string> warnings;
};

// Makes the options from the flags and the operands of the command line. InvalidArgument or
// Unimplemented, with one sentence for the user. Only with --fuse_fd may the mount point be
// omitted; it is then empty.
absl::StatusOr<Options> ResolveOptions(const std::vector<std::string>& operands,
                                       const Machine& machine);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_OPTIONS_H_
