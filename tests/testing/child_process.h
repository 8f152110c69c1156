// Makes child processes of another user, with other capabilities or in other namespaces, for tests
// that inspect them.

#ifndef MEMFUSE_TESTS_TESTING_CHILD_PROCESS_H_
#define MEMFUSE_TESTS_TESTING_CHILD_PROCESS_H_

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

namespace memfuse::test {

// fork(2) into new namespaces. The child does not call unshare(2): a process with several threads
// may not, and under ThreadSanitizer each process has one more thread.
inline pid_t ForkIntoUserNamespace() {
  return static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}
inline pid_t ForkIntoPidNamespace() {
  return static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
}

// Calls `check` with the PID of a child that has run `prepare`. `prepare` must succeed.
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

// One bit for each CAP_*, of the first 32.
inline bool SetCapabilities(uint32_t effective) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = effective;
  return syscall(SYS_capset, &header, data) == 0;
}

// Keeps all other capabilities.
inline bool DropCapability(int capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  data[capability / 32].effective &= ~(uint32_t{1} << capability % 32);
  return syscall(SYS_capset, &header, data) == 0;
}

// Needs root.
inline bool BecomeUser(uint32_t uid, uint32_t capabilities = 0) {
  return prctl(PR_SET_KEEPCAPS, 1) == 0 && setresgid(uid, uid, uid) == 0 &&
         setresuid(uid, uid, uid) == 0 && SetCapabilities(capabilities);
}

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_CHILD_PROCESS_H_
