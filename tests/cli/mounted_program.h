// The program with a real mount, for the duration of a test.

#ifndef MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_
#define MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/cli/run_program.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {

// A mount point, and the program's mounts and daemons on it. Daemons become children of the test
// process (it is their subreaper), so that the test sees their exit status. At the end, remaining
// daemons are killed and remaining mounts are unmounted.
class MountedProgram {
 public:
  MountedProgram();
  ~MountedProgram();
  MountedProgram(const MountedProgram&) = delete;
  MountedProgram& operator=(const MountedProgram&) = delete;

  const std::string& mount_point() const { return mount_point_; }
  const TemporaryDirectory& directory() const { return directory_; }

  // Runs the program in background mode on the mount point.
  ProgramResult Mount(const std::vector<std::string>& flags = {});

  // Runs a shell command with the mount point as $M. A request to a mount that does not answer ends
  // with the command, not with the test.
  ProgramResult Shell(const std::string& script) const;

  // The process that serves the mount point; -1 if there is none.
  pid_t DaemonPid() const;

  // Waits for the exit of that child; returns its exit status, or -1 if it was killed or did not
  // exit in time.
  static int WaitForExit(pid_t child, absl::Duration timeout = absl::Seconds(60));

 private:
  TemporaryDirectory directory_;
  const std::string mount_point_;
};

// A copy of the program that any user may execute. The build directory may be accessible to root
// only.
std::string PublicCopyOfProgram(const TemporaryDirectory& directory);

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_
