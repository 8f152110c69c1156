#include "tests/cli/mounted_program.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/testing/process_exit.h"

namespace memfuse::cli {

MountedProgram::MountedProgram() : mount_point_(directory_.MakeDirectory("mount")) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

MountedProgram::~MountedProgram() {
  if (const pid_t daemon = DaemonPid(); daemon > 0) {
    kill(daemon, SIGKILL);
    WaitForExit(daemon);
  }
  while (IsMounted(mount_point_) && umount2(mount_point_.c_str(), MNT_DETACH) == 0) {
  }
}

ProgramResult MountedProgram::Mount(const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = flags;
  arguments.push_back(mount_point_);
  return RunMemfuse(arguments);
}

ProgramResult MountedProgram::Shell(const std::string& script) const {
  return RunProgram(
      {"timeout", "-s", "KILL", "60", "sh", "-c", "M=$1\n" + script, "sh", mount_point_});
}

pid_t MountedProgram::DaemonPid() const {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    const std::vector<std::string> words = absl::StrSplit(text.str(), '\0');
    if (!absl::EndsWith(words[0], "/memfuse")) continue;
    for (const std::string& word : words) {
      if (word == mount_point_) return pid;
    }
  }
  return -1;
}

int MountedProgram::WaitForExit(pid_t child, absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  if (!test::AwaitExit(child, deadline)) return -1;
  int status;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string PublicCopyOfProgram(const TemporaryDirectory& directory) {
  const std::string copy = directory.path() + "/memfuse";
  std::filesystem::copy_file(MEMFUSE_PROGRAM, copy,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::permissions(copy, std::filesystem::perms(0755));
  return copy;
}

}  // namespace memfuse::cli
