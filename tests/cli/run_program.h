// Runs a program to its end and keeps what it said.

#ifndef MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_
#define MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace memfuse::cli {

struct ProgramResult {
  int exit_status = -1;  // -1: killed, by a signal or because it took too long
  std::string out;
  std::string err;
};

// Finds the program in PATH, waits for its end and for the end of its output, at most `timeout`.
ProgramResult RunProgram(const std::vector<std::string>& command,
                         absl::Duration timeout = absl::Seconds(90));

// The program under test with these arguments.
ProgramResult RunMemfuse(std::vector<std::string> arguments);

// Whether something is mounted exactly there, as /proc/self/mountinfo says.
bool IsMounted(const std::string& path);

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_RUN_PROGRAM_H_
