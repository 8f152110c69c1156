// The common part of every conformance case.
//
// A case is written from POSIX.1-2017 and the Linux manual pages, and runs twice: on a memfuse
// mount and on a kernel tmpfs. An expectation that tmpfs does not meet is wrong. One that only
// memfuse does not meet is a bug. A test of a difference that FUSE itself imposes states the
// difference (on_memfuse()).
//
//   TEST_P(Rename, OntoItselfIsNothing) { ... }      needs no privilege, runs everywhere
//   TEST_P(RenameAsRoot, ...)                        needs root, and the users Alice and Bob
//
// Suites are declared with CONFORMANCE_SUITE(Rename) or ROOT_CONFORMANCE_SUITE(RenameAsRoot). The
// latter is not instantiated if an unprivileged user runs the program.
//
// Each case has a fresh directory of mode 0777, which is also its working directory, so that
// relative paths are sufficient.

#ifndef MEMFUSE_TESTS_CONFORMANCE_CONFORMANCE_H_
#define MEMFUSE_TESTS_CONFORMANCE_CONFORMANCE_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/testing/kernel_version.h"
#include "tests/testing/sleeping_thread.h"

namespace memfuse::conformance {

using base::UniqueFd;
using test::KernelAtLeast;

// The mount points of the two file systems; from the command line.
struct FileSystemUnderTest {
  std::string name;       // "memfuse" or "tmpfs"
  std::string directory;  // an existing directory on it that the caller may write to
};
std::vector<FileSystemUnderTest> FileSystems();
// The same, with 16 MiB and 200 inodes (in addition to those in use at the beginning).
inline constexpr uint64_t kSmallSize = 16 << 20;
inline constexpr uint64_t kSmallInodes = 200;
std::vector<FileSystemUnderTest> SmallFileSystems();
// Prints a file system for GoogleTest.
void PrintTo(const FileSystemUnderTest& fs, std::ostream* out);
std::string NameOf(const testing::TestParamInfo<FileSystemUnderTest>& info);
bool RunsAsRoot();

// A user that makes calls. Alice and Bob have kShared as a supplementary group.
struct User {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};
inline constexpr gid_t kShared = 2000;
inline const User kRoot{0, 0, {}};
inline const User kAlice{1001, 1001, {kShared}};
inline const User kBob{1002, 1002, {kShared}};
inline const User kStranger{1003, 1003, {}};

// 0, or the errno of a call that returns -1 on failure.
template <typename T>
int ErrnoOf(T result) {
  return result == static_cast<T>(-1) ? errno : 0;
}

// An invalid address and a negative count, hidden from the compiler.
char* BadAddress();
int MinusOne();

// Runs `call` in a child process as `user` (root only); returns its result: 0, or an errno. The
// child has the same working directory and descriptors. A child that crashes or does not end within
// 30 s fails the test.
int As(const User& user, const std::function<int()>& call);
// The same with only these capabilities, one bit for each CAP_*.
int WithCapabilities(const User& user, uint64_t capabilities, const std::function<int()>& call);
inline uint64_t CapabilityBit(int capability) { return uint64_t{1} << capability; }
// Runs `call` in a child process of the same user.
int InChild(const std::function<int()>& call);

// Waits until `done`; returns false after test::kWaitLimit. The kernel sends RELEASE and FORGET to
// a FUSE server a moment after the last use of an inode. No event tells a program that the server
// has carried them out.
bool Eventually(const std::function<bool()>& done);

// A process that runs `call` concurrently with the case.
class Process {
 public:
  explicit Process(const std::function<int()>& call);
  ~Process();  // waits
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  // The result of the call. A process that crashes or does not end within 30 s fails the test.
  int Wait();
  // Waits until the process blocks in one of these system calls, other than for a reply of the FUSE
  // server. Returns false if the call returns instead.
  bool BlocksIn(test::SystemCalls calls);
  pid_t pid() const { return pid_; }

 private:
  UniqueFd read_end_;
  pid_t pid_ = -1;
};

class Conformance : public testing::TestWithParam<FileSystemUnderTest> {
 protected:
  void SetUp() override;
  void TearDown() override;

  bool on_memfuse() const { return GetParam().name == "memfuse"; }
  // True on a memfuse whose daemon reads and writes file data. The kernel caches pages, and sends
  // no request for reads that the page cache answers. With passthrough, file data behaves as on the
  // private tmpfs.
  bool daemon_serves_data() const;
  // The absolute path of a name in the case's directory.
  std::string Absolute(const std::string& path) const { return directory_ + "/" + path; }
  const std::string& directory() const { return directory_; }
  const std::string& mount_directory() const { return GetParam().directory; }

 private:
  std::string directory_;
};

// Makes a regular file with this content. An error fails the test.
void MakeFile(const std::string& path, const std::string& content = "", mode_t mode = 0644);
void MakeDirectory(const std::string& path, mode_t mode = 0755);
void Give(const std::string& path, const User& user);  // chown(2), not following; root only
std::string ReadFile(const std::string& path);
// open(2). An error fails the test.
UniqueFd Open(const std::string& path, int flags, mode_t mode = 0644);
// The same, and close(2). Returns 0 or the errno.
int OpenErrno(const std::string& path, int flags, mode_t mode = 0644);
// unlink(2) or, for a directory, rmdir(2). An error fails the test.
void Remove(const std::string& path);
struct stat Stat(const std::string& path);               // follows
struct stat LStat(const std::string& path);              // does not
bool Exists(const std::string& path);                    // lstat succeeds
std::vector<std::string> List(const std::string& path);  // sorted, without "." and ".."
mode_t Permissions(const std::string& path);             // 07777, of the object itself

inline constexpr size_t kNameMax = 255;
std::string LongName(size_t length);

// All types of objects, for tables. MakeObject(type, path) makes one (devices need root).
enum class Type { kFile, kDirectory, kSymlink, kFifo, kSocket, kCharDevice, kBlockDevice };
std::vector<Type> TypesWithoutPrivilege();  // all but devices
std::vector<Type> AllTypes();
std::string ToString(Type type);
void MakeObject(Type type, const std::string& path);

// Adds the type, user or call of the iteration to failure messages: TRACE(ToString(type)).
#define TRACE(what) SCOPED_TRACE(testing::Message() << what)

// The times of an object that a call moved, to the nanosecond. The constructor waits for a tick of
// the clock.
//   TimeWatch watch("f"); chmod(...); EXPECT_EQ(watch.Moved(), "c");
class TimeWatch {
 public:
  explicit TimeWatch(const std::string& path);
  // Those of "a", "m", "c" that have changed, in this order; "" for none. atime is only reported if
  // `with_atime`, because reads move it as the mount specifies (relatime).
  std::string Moved(bool with_atime = false) const;

 private:
  std::string path_;
  struct stat before_;
};

// At the beginning of a case: a feature that memfuse or tmpfs has only since Linux 6.6.
#define NEEDS_USER_ATTRIBUTES()              \
  if (!on_memfuse() && !KernelAtLeast(6, 6)) \
  GTEST_SKIP() << "tmpfs has no user.* attributes before Linux 6.6"
#define NEEDS_BIRTH_TIMES()                 \
  if (on_memfuse() && !KernelAtLeast(6, 6)) \
  GTEST_SKIP() << "FUSE has no birth times before Linux 6.6"
#define NEEDS_DIRECT_IO()                    \
  if (!on_memfuse() && !KernelAtLeast(6, 6)) \
  GTEST_SKIP() << "tmpfs refuses O_DIRECT before Linux 6.6"

#define CONFORMANCE_SUITE(Name)                                                                \
  class Name : public ::memfuse::conformance::Conformance {};                                  \
  INSTANTIATE_TEST_SUITE_P(On, Name, testing::ValuesIn(::memfuse::conformance::FileSystems()), \
                           ::memfuse::conformance::NameOf)

#define ROOT_CONFORMANCE_SUITE(Name)                                                       \
  class Name : public ::memfuse::conformance::Conformance {};                              \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Name);                                     \
  INSTANTIATE_TEST_SUITE_P(                                                                \
      On, Name,                                                                            \
      testing::ValuesIn(::memfuse::conformance::RunsAsRoot()                               \
                            ? ::memfuse::conformance::FileSystems()                        \
                            : std::vector<::memfuse::conformance::FileSystemUnderTest>()), \
      ::memfuse::conformance::NameOf)

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_CONFORMANCE_H_
