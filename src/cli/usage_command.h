// 'memfusectl usage': what is stored where.

#ifndef MEMFUSE_SRC_CLI_USAGE_COMMAND_H_
#define MEMFUSE_SRC_CLI_USAGE_COMMAND_H_

#include <optional>
#include <string>

namespace memfuse::cli {

struct UsageArguments {
  std::string directory;            // the mount point, or below it
  std::optional<std::string> path;  // from the root of the file system; none: that of `directory`
  std::optional<std::string> by;    // uid, gid, path, dir or type
  bool deleted = false;
  bool largest = false;
  std::optional<std::string> limit;  // of rows
  bool json_output = false;
};

// Asks the daemon, and prints its answer. While the daemon walks for more than a second, a line on
// standard error says how far it is, if that is a terminal. Returns the exit status.
int ShowUsage(const UsageArguments& arguments);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_USAGE_COMMAND_H_
