// The program with a real mount, for the time of a test.

#ifndef MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_
#define MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/cli/run_program.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {

// A mount point, and whatever the program makes of it. Daemons become children of the test (it is
// their subreaper), so that their exit status can be seen. Whatever is left at the end is killed
// and unmounted.
class MountedProgram {
 public:
  MountedProgram();
  ~MountedProgram();
  MountedProgram(const MountedProgram&) = delete;
  MountedProgram& operator=(const MountedProgram&) = delete;

  const std::string& mount_point() const { return mount_point_; }
  const TemporaryDirectory& directory() const { return directory_; }

  // Runs the program in the background mode on the mount point.
  ProgramResult Mount(const std::vector<std::string>& flags = {});

  // Runs a shell command with the mount point as $M; what it asks of a mount that does not answer
  // ends with the command, not with the test.
  ProgramResult Shell(const std::string& script) const;

  // The process that serves the mount point; -1 if there is none.
  pid_t DaemonPid() const;

  // Waits for the end of that child. Its exit status; -1 if it was killed or did not end in time.
  static int WaitForExit(pid_t child, absl::Duration timeout = absl::Seconds(60));

 private:
  TemporaryDirectory directory_;
  const std::string mount_point_;
};

// A copy of the program that any user may run: the build directory may be root's own.
std::string PublicCopyOfProgram(const TemporaryDirectory& directory);

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_MOUNTED_PROGRAM_H_
