// Runs a program to its end and stores its output.

#ifndef MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_
#define MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace memfuse::cli {

struct ProgramResult {
  int exit_status = -1;  // -1: killed by a signal or after the timeout
  std::string out;
  std::string err;
};

// Finds the program in PATH, and waits for its exit and for the end of its output, at most
// `timeout`.
ProgramResult RunProgram(const std::vector<std::string>& command,
                         absl::Duration timeout = absl::Seconds(90));

// Runs the program under test with these arguments.
ProgramResult RunMemfuse(std::vector<std::string> arguments);

// Whether /proc/self/mountinfo has a mount at exactly that directory.
bool IsMounted(const std::string& path);

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_
