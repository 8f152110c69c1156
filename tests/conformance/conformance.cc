#include "tests/conformance/conformance.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

namespace memfuse::conformance {
namespace {

constexpr int kChildTimeoutMs = 30000;
constexpr std::chrono::seconds kTickTimeout{10};

// Removes a tree, also one without permissions.
void RemoveTree(int parent, const std::string& name) {
  if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return;
  // A failure to change the mode shows when the directory cannot be opened.
  [[maybe_unused]] const int ignored = fchmodat(parent, name.c_str(), 0700, 0);
  const UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return;
  std::vector<std::string> names;
  if (DIR* const dir = fdopendir(dup(fd.get()))) {
    while (const dirent* entry = readdir(dir)) names.emplace_back(entry->d_name);
    closedir(dir);
  }
  for (const std::string& child : names) {
    if (child != "." && child != "..") RemoveTree(fd.get(), child);
  }
  unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

// Closes the descriptors on this file system that a case left open. They would prevent a remount,
// or keep an inode, in a later case.
void CloseLeftovers(dev_t device) {
  std::vector<int> leftovers;
  DIR* const dir = opendir("/proc/self/fd");
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const int fd = std::atoi(entry->d_name);
    struct stat s;
    if (fd > STDERR_FILENO && fstat(fd, &s) == 0 && s.st_dev == device) leftovers.push_back(fd);
  }
  closedir(dir);
  for (const int fd : leftovers) close(fd);
}

// Whether the process waits for a reply of a FUSE server.
bool AwaitsReply(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/wchan");
  std::string function;
  return file >> function && function == "request_wait_answer";
}

const char* Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::vector<FileSystemUnderTest> FileSystems() {
  // Set by run_conformance.sh, which mounts both.
  return {{"memfuse", Environment("CONFORMANCE_MEMFUSE_DIR")},
          {"tmpfs", Environment("CONFORMANCE_TMPFS_DIR")}};
}

std::vector<FileSystemUnderTest> SmallFileSystems() {
  return {{"memfuse", Environment("CONFORMANCE_MEMFUSE_SMALL_DIR")},
          {"tmpfs", Environment("CONFORMANCE_TMPFS_SMALL_DIR")}};
}

void PrintTo(const FileSystemUnderTest& fs, std::ostream* out) {
  *out << fs.name << " at " << fs.directory;
}

std::string NameOf(const testing::TestParamInfo<FileSystemUnderTest>& info) {
  return info.param.name;
}

bool RunsAsRoot() { return geteuid() == 0; }

char* BadAddress() { return reinterpret_cast<char*>(8); }

int MinusOne() { return -1; }

Process::Process(const std::function<int()>& call) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "pipe: " << std::strerror(errno);
    return;
  }
  read_end_.reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  pid_ = fork();
  if (pid_ == 0) {
    const int result = call();
    (void)!write(write_end.get(), &result, sizeof(result));
    _exit(0);
  }
  if (pid_ == -1) ADD_FAILURE() << "fork: " << std::strerror(errno);
}

Process::~Process() {
  if (pid_ > 0) Wait();
}

bool Process::BlocksIn(test::SystemCalls calls) {
  bool blocked = false;
  EXPECT_TRUE(test::AwaitState([&] {
    pollfd result = {read_end_.get(), POLLIN, 0};
    blocked = test::SleepsIn(pid_, calls) && !AwaitsReply(pid_);
    return blocked || poll(&result, 1, 0) != 0;
  })) << "the process neither blocks nor ends";
  return blocked;
}

int Process::Wait() {
  if (pid_ <= 0) return -1;
  pollfd wait = {read_end_.get(), POLLIN, 0};
  int result = -1;
  if (poll(&wait, 1, kChildTimeoutMs) != 1) {
    ADD_FAILURE() << "a child process did not end in time";
    kill(pid_, SIGKILL);
  } else if (read(read_end_.get(), &result, sizeof(result)) != sizeof(result)) {
    ADD_FAILURE() << "a child process died before its call returned";
  }
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return result;
}

int InChild(const std::function<int()>& call) { return Process(call).Wait(); }

int As(const User& user, const std::function<int()>& call) {
  return InChild([&] {
    if (setgroups(user.groups.size(), user.groups.data()) != 0 ||
        setresgid(user.gid, user.gid, user.gid) != 0 ||
        setresuid(user.uid, user.uid, user.uid) != 0) {
      std::perror("cannot become another user");
      std::abort();
    }
    return call();
  });
}

int WithCapabilities(const User& user, uint64_t capabilities, const std::function<int()>& call) {
  return InChild([&] {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    for (int i = 0; i < 2; ++i) {
      data[i].effective = data[i].permitted = static_cast<uint32_t>(capabilities >> (32 * i));
    }
    // A change of user clears the effective capabilities, not the permitted ones with
    // PR_SET_KEEPCAPS.
    if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setgroups(user.groups.size(), user.groups.data()) != 0 ||
        setresgid(user.gid, user.gid, user.gid) != 0 ||
        setresuid(user.uid, user.uid, user.uid) != 0 || syscall(SYS_capset, &header, data) != 0) {
      std::perror("cannot change capabilities");
      std::abort();
    }
    return call();
  });
}

bool Eventually(const std::function<bool()>& done) { return test::AwaitState(done); }

bool Conformance::daemon_serves_data() const {
  return on_memfuse() && std::getenv("CONFORMANCE_PASSTHROUGH") == nullptr;
}

void Conformance::SetUp() {
  ASSERT_FALSE(GetParam().directory.empty())
      << "CONFORMANCE_MEMFUSE_DIR and CONFORMANCE_TMPFS_DIR name the two mounts";
  umask(0);
  std::string path = GetParam().directory + "/case-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr) << std::strerror(errno);
  directory_ = path;
  ASSERT_EQ(chmod(path.c_str(), 0777), 0);
  ASSERT_EQ(chdir(path.c_str()), 0);
}

void Conformance::TearDown() {
  umask(0);
  ASSERT_EQ(chdir("/"), 0);
  if (directory_.empty()) return;
  CloseLeftovers(Stat(directory_).st_dev);
  const UniqueFd parent(open(GetParam().directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  RemoveTree(parent.get(), directory_.substr(directory_.find_last_of('/') + 1));
  EXPECT_FALSE(Exists(directory_)) << "the case left something that cannot be removed";
}

int OpenErrno(const std::string& path, int flags, mode_t mode) {
  const UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  return fd.valid() ? 0 : errno;
}

void Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0) {
    ASSERT_EQ(rmdir(path.c_str()), 0) << path;
  }
}

UniqueFd Open(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  EXPECT_TRUE(fd.valid()) << "open " << path << ": " << std::strerror(errno);
  return fd;
}

void MakeFile(const std::string& path, const std::string& content, mode_t mode) {
  const UniqueFd fd = Open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  ASSERT_EQ(write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  ASSERT_EQ(fchmod(fd.get(), mode), 0);
}

void MakeDirectory(const std::string& path, mode_t mode) {
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0) << path << ": " << std::strerror(errno);
  ASSERT_EQ(chmod(path.c_str(), mode), 0) << path << ": " << std::strerror(errno);
}

void Give(const std::string& path, const User& user) {
  ASSERT_EQ(lchown(path.c_str(), user.uid, user.gid), 0) << path << ": " << std::strerror(errno);
}

std::string ReadFile(const std::string& path) {
  const UniqueFd fd = Open(path, O_RDONLY);
  std::string content;
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd.get(), buffer, sizeof(buffer))) > 0) {
    content.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(n, 0) << "read " << path << ": " << std::strerror(errno);
  return content;
}

struct stat Stat(const std::string& path) {
  struct stat s = {};
  EXPECT_EQ(stat(path.c_str(), &s), 0) << "stat " << path << ": " << std::strerror(errno);
  return s;
}

struct stat LStat(const std::string& path) {
  struct stat s = {};
  EXPECT_EQ(lstat(path.c_str(), &s), 0) << "lstat " << path << ": " << std::strerror(errno);
  return s;
}

bool Exists(const std::string& path) {
  struct stat s;
  return lstat(path.c_str(), &s) == 0;
}

std::vector<std::string> List(const std::string& path) {
  std::vector<std::string> names;
  DIR* const dir = opendir(path.c_str());
  EXPECT_NE(dir, nullptr) << "opendir " << path << ": " << std::strerror(errno);
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

mode_t Permissions(const std::string& path) { return LStat(path).st_mode & 07777; }

std::string LongName(size_t length) { return std::string(length, 'n'); }

std::vector<Type> TypesWithoutPrivilege() {
  return {Type::kFile, Type::kDirectory, Type::kSymlink, Type::kFifo, Type::kSocket};
}

std::vector<Type> AllTypes() {
  std::vector<Type> types = TypesWithoutPrivilege();
  types.push_back(Type::kCharDevice);
  types.push_back(Type::kBlockDevice);
  return types;
}

std::string ToString(Type type) {
  switch (type) {
    case Type::kFile:
      return "file";
    case Type::kDirectory:
      return "directory";
    case Type::kSymlink:
      return "symlink";
    case Type::kFifo:
      return "fifo";
    case Type::kSocket:
      return "socket";
    case Type::kCharDevice:
      return "character device";
    case Type::kBlockDevice:
      return "block device";
  }
  return "";
}

void MakeObject(Type type, const std::string& path) {
  switch (type) {
    case Type::kFile:
      MakeFile(path);
      break;
    case Type::kDirectory:
      ASSERT_EQ(mkdir(path.c_str(), 0755), 0) << path << ": " << std::strerror(errno);
      break;
    case Type::kSymlink:
      ASSERT_EQ(symlink("target", path.c_str()), 0) << path << ": " << std::strerror(errno);
      break;
    case Type::kFifo:
      ASSERT_EQ(mkfifo(path.c_str(), 0644), 0) << path << ": " << std::strerror(errno);
      break;
    case Type::kSocket:
      ASSERT_EQ(mknod(path.c_str(), S_IFSOCK | 0644, 0), 0) << path << ": " << std::strerror(errno);
      break;
    case Type::kCharDevice:
      ASSERT_EQ(mknod(path.c_str(), S_IFCHR | 0644, makedev(1, 3)), 0)
          << path << ": " << std::strerror(errno);
      break;
    case Type::kBlockDevice:
      ASSERT_EQ(mknod(path.c_str(), S_IFBLK | 0644, makedev(7, 200)), 0)
          << path << ": " << std::strerror(errno);
      break;
  }
}

TimeWatch::TimeWatch(const std::string& path) : path_(path), before_(LStat(path)) {
  // tmpfs takes timestamps from a clock that ticks every few milliseconds, and no event announces a
  // tick. A process may see a tick a moment after the kernel has used it for a timestamp, so the
  // file's timestamp must have advanced, too.
  const auto later = [](const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
  };
  const auto deadline = std::chrono::steady_clock::now() + kTickTimeout;
  timespec start;
  clock_gettime(CLOCK_REALTIME_COARSE, &start);
  for (timespec now = start; !later(now, start) || !later(now, before_.st_ctim);) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the clock does not pass the ctime of " << path;
      break;
    }
    usleep(500);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
  }
}

std::string TimeWatch::Moved(bool with_atime) const {
  const struct stat after = LStat(path_);
  const auto differ = [](const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
  };
  std::string moved;
  if (with_atime && differ(before_.st_atim, after.st_atim)) moved += "a";
  if (differ(before_.st_mtim, after.st_mtim)) moved += "m";
  if (differ(before_.st_ctim, after.st_ctim)) moved += "c";
  return moved;
}

}  // namespace memfuse::conformance
