// Sets the destination of the log.

#ifndef MEMFUSE_SRC_CLI_LOGGING_H_
#define MEMFUSE_SRC_CLI_LOGGING_H_

#include <string>

namespace memfuse::cli {

// Starts glog: into files in `log_dir` if it is not empty; otherwise to stderr in the foreground
// (under systemd in the format of the journal) and to syslog in the background. Never into files in
// /tmp, which is the default of glog. Must be called once, after the fork (file names contain the
// process id) and before the first LOG.
void StartLogging(bool foreground, const std::string& log_dir);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_LOGGING_H_
