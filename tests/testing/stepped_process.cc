#include "tests/testing/stepped_process.h"

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

namespace memfuse::test {
namespace {

// The system calls by which the child marks the beginning and the end of `body`.
void Mark() { raise(SIGSTOP); }

// Whether the process is about to execute an instruction of the kernel's code in user space (vDSO).
// It reads the clock there, and begins again if the clock has moved in between. It would never end
// if each step took long.
class Vdso {
 public:
  Vdso() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("[vdso]") == std::string::npos) continue;
      begin_ = std::stoull(line, nullptr, 16);
      end_ = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    }
  }
  bool Contains(pid_t process) const {
    user_regs_struct registers = {};
    iovec where = {&registers, sizeof(registers)};
    if (ptrace(PTRACE_GETREGSET, process, NT_PRSTATUS, &where) != 0) return false;
#if defined(__aarch64__)
    const uint64_t instruction = registers.pc;
#else
    const uint64_t instruction = registers.rip;
#endif
    return instruction >= begin_ && instruction < end_;
  }

 private:
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

// Returns false if the child has ended.
bool WaitForStop(pid_t child, int* status) {
  pid_t found;
  do {
    found = waitpid(child, status, 0);
  } while (found < 0 && errno == EINTR);
  return found == child && WIFSTOPPED(*status);
}

// While it exists, this process and its children run on the present CPU only, before other
// processes if the user may request this. Each step switches between the two processes. Two CPUs
// that wake each other take several times longer for it, and other processes on the CPU would run
// in between.
class FastSwitches {
 public:
  FastSwitches() {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_getaffinity(0, sizeof(cpus_), &cpus_);
    sched_setaffinity(0, sizeof(here), &here);
    nice_ = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, -20);
  }
  ~FastSwitches() {
    setpriority(PRIO_PROCESS, 0, nice_);
    sched_setaffinity(0, sizeof(cpus_), &cpus_);
  }
  FastSwitches(const FastSwitches&) = delete;
  FastSwitches& operator=(const FastSwitches&) = delete;

 private:
  cpu_set_t cpus_;
  int nice_;
};

void Kill(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace

uint64_t RunInSteps(absl::FunctionRef<void()> body, absl::FunctionRef<void()> look) {
  const FastSwitches fast_switches;
  const pid_t child = fork();
  if (child < 0) return 0;
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    Mark();
    try {
      body();
    } catch (...) {
      _exit(1);
    }
    Mark();
    _exit(0);
  }
  const Vdso vdso;
  int status = 0;
  if (!WaitForStop(child, &status)) return 0;
  uint64_t steps = 0;
  for (;;) {
    // Other signals than those of the steps (SIGTRAP) and of the marks go on to the child.
    const int signal = steps == 0 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, signal) != 0) {
      Kill(child);
      return 0;
    }
    if (!WaitForStop(child, &status)) return 0;
    if (WSTOPSIG(status) == SIGSTOP) break;
    ++steps;
    if (!vdso.Contains(child)) look();
  }
  Kill(child);
  return steps;
}

}  // namespace memfuse::test
