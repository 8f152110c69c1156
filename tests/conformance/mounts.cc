#include "tests/conformance/mounts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace memfuse::conformance {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int Wait(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -errno;
  return WIFSIGNALED(status) ? -1000 - WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

PrivateMounts::PrivateMounts() : outer_(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
  char here[PATH_MAX];
  EXPECT_NE(getcwd(here, sizeof(here)), nullptr);
  directory_ = here;
  EXPECT_EQ(unshare(CLONE_NEWNS), 0) << std::strerror(errno);
  EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
}

PrivateMounts::~PrivateMounts() {
  EXPECT_EQ(setns(outer_.get(), CLONE_NEWNS), 0) << std::strerror(errno);
  EXPECT_EQ(chdir(directory_.c_str()), 0) << std::strerror(errno);
}

int BindAt(const std::string& directory, const std::string& place, unsigned long flags) {
  if (mkdir(place.c_str(), 0755) != 0 && errno != EEXIST) return errno;
  if (mount(directory.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) != 0) return errno;
  if (flags == 0) return 0;
  return mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr) == 0 ? 0
                                                                                            : errno;
}

int Spawn(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  pid_t child;
  const int error = posix_spawn(&child, arguments[0].c_str(), nullptr, nullptr,
                                Pointers(arguments).data(), Pointers(environment).data());
  return error != 0 ? -error : Wait(child);
}

std::string OutputOf(const std::vector<std::string>& arguments) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  pid_t child;
  const int error = posix_spawnp(&child, arguments[0].c_str(), &actions, nullptr,
                                 Pointers(arguments).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  EXPECT_EQ(error, 0) << arguments[0] << ": " << std::strerror(error);
  if (error != 0) return "";
  std::string output;
  char buffer[4096];
  ssize_t n;
  while ((n = read(read_end.get(), buffer, sizeof(buffer))) > 0) {
    output.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(Wait(child), 0) << arguments[0];
  return output;
}

}  // namespace memfuse::conformance
