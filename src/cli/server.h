// Mounts, serves until the end, unmounts.

#ifndef MEMFUSE_SRC_CLI_SERVER_H_
#define MEMFUSE_SRC_CLI_SERVER_H_

#include "absl/time/time.h"
#include "src/cli/daemonize.h"
#include "src/cli/options.h"
#include "src/keeper/keeper.h"

namespace memfuse::cli {

// Runs the file system that `options` describe and reports through `report` when it can be used.
// Returns the exit status after it was unmounted, by a signal (SIGTERM, SIGINT) or by another
// process, or if it could not be started. `start` is null in a process without a keeper. With a
// keeper that reports success, and a successor logs why it could not be started. Requires:
// StartLogging was called; the process has no other thread.
// `mounted` is the start of the first server.
int RunServer(const Options& options, StartupReport report, absl::Time mounted,
              const keeper::Start* start = nullptr);

// Runs a keeper and its servers (keeper/keeper.h). Returns the exit status of the process.
int RunResilientServer(const Options& options, StartupReport report);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SERVER_H_
