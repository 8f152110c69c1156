#include "src/base/caller.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace memfuse::base {
namespace {

constexpr uint32_t kNobodysGroup = 0xfffffff0;

TEST(ThreadHasGroup, KnowsTheGroupsOfThisThread) {
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  ASSERT_GE(getgroups(static_cast<int>(groups.size()), groups.data()), 0);
  const auto self = static_cast<uint32_t>(getpid());
  for (const gid_t group : groups) EXPECT_TRUE(ThreadHasGroup(self, group)) << group;
  EXPECT_FALSE(ThreadHasGroup(self, kNobodysGroup));
}

TEST(ThreadHasGroup, IsFalseWhereNobodyCanTell) {
  EXPECT_FALSE(ThreadHasGroup(0, 0));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(ThreadHasGroup(static_cast<uint32_t>(child), getgid()));
}

// fork(2), into a new user namespace. Not unshare(2) in the child: a process with threads may not
// call it, and under ThreadSanitizer each has one more.
pid_t ForkIntoUserNamespace() {
  return static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

// Calls `check` with the number of a child that has gone through `prepare`.
template <typename Prepare, typename Check>
void WithChild(Prepare prepare, Check check, pid_t (*make_child)() = fork) {
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = make_child();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(done[1]);
    char byte = prepare() ? 'y' : 'n';
    (void)!write(ready[1], &byte, 1);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  check(static_cast<uint32_t>(child));
  for (const int fd : {ready[0], done[0], done[1]}) close(fd);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

bool SetCapabilities(uint32_t effective) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = effective;
  return syscall(SYS_capset, &header, data) == 0;
}

TEST(ThreadHasCapability, KnowsWhatIsInEffect) {
  const bool root = geteuid() == 0;
  const uint32_t kept = root ? uint32_t{1} << CAP_FSETID : 0;
  WithChild([kept] { return SetCapabilities(kept); },
            [root](uint32_t child) {
              EXPECT_EQ(ThreadHasCapability(child, CAP_FSETID), root);
              EXPECT_FALSE(ThreadHasCapability(child, CAP_CHOWN));
            });
}

TEST(ThreadHasCapability, IsWorthNothingFromAnotherUserNamespace) {
  WithChild([] { return true; },
            [](uint32_t child) { EXPECT_FALSE(ThreadHasCapability(child, CAP_FSETID)); },
            ForkIntoUserNamespace);
}

TEST(ThreadHasCapability, IsFalseWhereNobodyCanTell) {
  EXPECT_FALSE(ThreadHasCapability(0, CAP_FSETID));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(ThreadHasCapability(static_cast<uint32_t>(child), CAP_FSETID));
}

}  // namespace
}  // namespace memfuse::base
