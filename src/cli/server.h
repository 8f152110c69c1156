// Mounts, serves until the end, unmounts.

#ifndef MEMFUSE_SRC_CLI_SERVER_H_
#define MEMFUSE_SRC_CLI_SERVER_H_

#include "src/cli/daemonize.h"
#include "src/cli/options.h"

namespace memfuse::cli {

// Runs the file system that `options` describe and reports through `report` when it can be used.
// Returns the exit status after it was unmounted, by a signal (SIGTERM, SIGINT) or by another
// process, or if it could not be started. The process must have no other thread.
int RunServer(const Options& options, StartupReport report);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SERVER_H_
