// Where the log goes.

#ifndef MEMFUSE_SRC_CLI_LOGGING_H_
#define MEMFUSE_SRC_CLI_LOGGING_H_

#include <string>

namespace memfuse::cli {

// Starts glog: into files in `log_dir` if there is one; otherwise to stderr in the foreground
// (under systemd as the journal wants it) and to syslog in the background. Never into files in
// /tmp, which is glog's own default. To be called once, after the fork (files carry the process id)
// and before the first LOG.
void StartLogging(bool foreground, const std::string& log_dir);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_LOGGING_H_
