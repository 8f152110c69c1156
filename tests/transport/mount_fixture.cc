#include "tests/transport/mount_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>

#include "src/base/unique_fd.h"

namespace memfuse::transport {
namespace {

char g_directory[64];

// Async-signal-safe. The exit of the process closes its connections, which ends the requests of the
// processes that wait for them.
void GiveUp(int) {
  umount2(g_directory, MNT_DETACH);
  static const char kMessage[] = "the test took too long\n";
  [[maybe_unused]] const ssize_t written = write(2, kMessage, sizeof(kMessage) - 1);
  _exit(1);
}

}  // namespace

void MountFixture::SetUp() {
  ASSERT_EQ(geteuid(), 0u) << "this test needs root";
  ASSERT_EQ(access("/dev/fuse", R_OK | W_OK), 0) << "this test needs /dev/fuse";
  char pattern[] = "/tmp/memfuse-transport-XXXXXX";
  ASSERT_NE(mkdtemp(pattern), nullptr);
  directory_ = pattern;
  directory_.copy(g_directory, sizeof(g_directory) - 1);
  signal(SIGALRM, GiveUp);
  alarm(60);
}

void MountFixture::TearDown() {
  alarm(0);
  if (directory_.empty()) return;
  while (umount2(directory_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  EXPECT_EQ(rmdir(directory_.c_str()), 0);
}

std::string MountFixture::MountInfo() const {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string found, line;
  while (std::getline(mounts, line)) {
    if (line.find(" " + directory_ + " ") != std::string::npos) found += line + "\n";
  }
  return found;
}

void MountFixture::AwaitUnmount() const {
  // poll(2) reports each change of the mount table since the file was opened, or since the last
  // report.
  const base::UniqueFd table(open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
  while (IsMounted()) {
    pollfd change = {table.get(), POLLPRI, 0};
    poll(&change, 1, -1);
  }
}

int MountFixture::Statfs() const {
  struct statfs result;
  return statfs(directory_.c_str(), &result) == 0 ? 0 : errno;
}

int MountFixture::FuseDescriptors() {
  int count = 0;
  DIR* const descriptors = opendir("/proc/self/fd");
  while (const dirent* const entry = readdir(descriptors)) {
    char target[64] = {};
    const std::string link = std::string("/proc/self/fd/") + entry->d_name;
    if (readlink(link.c_str(), target, sizeof(target) - 1) <= 0) continue;
    if (std::string(target) != "/dev/fuse") continue;
    ++count;
    EXPECT_NE(fcntl(std::atoi(entry->d_name), F_GETFD) & FD_CLOEXEC, 0);
  }
  closedir(descriptors);
  return count;
}

void MountFixture::BreakAFuseDescriptor() {
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    char target[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    if (readlink(link.c_str(), target, sizeof(target) - 1) <= 0) continue;
    if (std::string(target) != "/dev/fuse") continue;
    const int broken = open("/", O_PATH | O_CLOEXEC);
    EXPECT_EQ(dup3(broken, descriptor, O_CLOEXEC), descriptor);
    close(broken);
    return;
  }
  ADD_FAILURE() << "there is none";
}

std::string MountFixture::InChild(const std::function<std::string()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    alarm(50);  // not inherited
    const std::string said = body();
    const ssize_t written = write(ends[1], said.data(), said.size());
    _exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char chunk[512];
  for (ssize_t size; (size = read(ends[0], chunk, sizeof(chunk))) > 0;) {
    said.append(chunk, static_cast<size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return said;
}

}  // namespace memfuse::transport
