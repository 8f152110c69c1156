// Tells whether a thread is blocked, so that a test can act at that moment instead of after a
// delay.
//
// /proc/TID/syscall names the system call in which a thread sleeps. The kernel announces neither
// the begin nor the end of a sleep, so the functions that wait look repeatedly, up to kWaitLimit.
// How long the thread takes has no influence on the result.

#ifndef MEMFUSE_TESTS_TESTING_SLEEPING_THREAD_H_
#define MEMFUSE_TESTS_TESTING_SLEEPING_THREAD_H_

#include <sys/syscall.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace memfuse::test {

// The limit of a wait for something that certainly happens unless the code under test is wrong.
inline constexpr std::chrono::seconds kWaitLimit{50};

// Numbers of system calls. The C library decides which one of a list it uses.
using SystemCalls = absl::Span<const long>;
inline constexpr long kReads[] = {SYS_read};
inline constexpr long kWrites[] = {SYS_write, SYS_writev};
inline constexpr long kFutexes[] = {SYS_futex};
inline constexpr long kPolls[] = {
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_ppoll};

// Whether the thread `tid`, which may belong to another process of the same user, sleeps in one of
// these calls now. False if it runs or waits for the CPU.
bool SleepsIn(pid_t tid, SystemCalls calls);

// Waits until the thread sleeps in one of the calls. Returns false after kWaitLimit.
bool AwaitSleep(pid_t tid, SystemCalls calls);

// The same for a thread of this process that has this name or gets it meanwhile. The first worker
// of a session is "memfuse-0".
bool AwaitSleep(const std::string& name, SystemCalls calls);

// The threads of this process that have this name.
std::vector<pid_t> ThreadsWithName(const std::string& name);

// Waits until the condition holds, for a state that no event announces. Returns false after
// kWaitLimit.
bool AwaitState(absl::FunctionRef<bool()> condition);

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_SLEEPING_THREAD_H_
