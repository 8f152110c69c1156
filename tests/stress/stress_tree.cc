// stress_tree DIRECTORY: several processes use the same few names of one directory tree.
//
// Every error must be one that a local file system could return in such a race, every file holds
// whole writes of its own only, and the final tree must be consistent and removable. The program
// does not depend on memfuse; it must pass on a kernel tmpfs as well.

#include <fcntl.h>
#include <gflags/gflags.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/stress/final_check.h"
#include "tests/stress/shared_state.h"
#include "tests/stress/worker.h"
#include "tests/testing/process_exit.h"

DEFINE_int32(processes, 8, "how many processes work at the same time");
DEFINE_int32(seconds, 10, "for how long");
DEFINE_uint64(seed, 1, "of the random choices; process and seed make the sequence");
DEFINE_bool(table, true, "print how often each operation ended how");

namespace memfuse::stress {
namespace {

using std::chrono::steady_clock;

// The time limit of a process for its last operation.
constexpr auto kStallTimeout = std::chrono::seconds(60);

int Die(const std::string& what) {
  std::fprintf(stderr, "stress_tree: %s: %s\n", what.c_str(), strerror(errno));
  return 1;
}

bool MakePlayground(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 || chdir(path.c_str()) != 0) return false;
  for (int process = 0; process < FLAGS_processes; ++process) {
    if (mkdir(Grave(process).c_str(), 0755) != 0) return false;
  }
  for (int i = 0; i < kTopDirectories; ++i) {
    const std::string directory = TopDirectory(i);
    if (mkdir(directory.c_str(), 0755) != 0) return false;
    for (int process = 0; process < FLAGS_processes; ++process) {
      const std::string file = directory + "/" + KeptFile(process);
      const int fd = open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
      if (fd < 0) return false;
      close(fd);
    }
  }
  return true;
}

pid_t StartWorker(int process, SharedState* shared) {
  const pid_t first = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != first) _exit(1);
  Worker(process, FLAGS_processes, FLAGS_seed, shared).Run();
  _exit(0);
}

// Waits for all processes, at most until `deadline`. The first failure stops the others.
bool WaitForWorkers(const std::vector<pid_t>& workers, SharedState* shared,
                    steady_clock::time_point deadline) {
  // One entry for each worker. It becomes readable when the worker exits, and then gets the
  // descriptor -1, which poll(2) ignores.
  std::vector<base::UniqueFd> exits;
  std::vector<pollfd> running;
  for (const pid_t worker : workers) {
    exits.push_back(test::OpenProcess(worker));
    running.push_back({exits.back().get(), POLLIN, 0});
    if (!exits.back().valid()) {
      Die("pidfd_open");
      return false;
    }
  }
  bool ok = true;
  for (size_t left = workers.size(); left > 0;) {
    poll(running.data(), running.size(),
         test::PollTimeout(shared->stop ? deadline + kStallTimeout : deadline));
    for (size_t i = 0; i < workers.size(); ++i) {
      if (running[i].fd < 0 || running[i].revents == 0) continue;
      running[i] = {-1, POLLIN, 0};
      --left;
      int status = -1;
      waitpid(workers[i], &status, 0);
      if (WIFSIGNALED(status)) {
        std::fprintf(stderr, "stress_tree: process %zu was killed by signal %d at: %s\n", i,
                     WTERMSIG(status), shared->processes[i].doing);
      }
      if (status != 0) {
        ok = false;
        shared->stop = true;
      }
    }
    const auto now = steady_clock::now();
    if (now > deadline) shared->stop = true;
    if (left > 0 && now > deadline + kStallTimeout) {
      for (size_t i = 0; i < workers.size(); ++i) {
        if (running[i].fd < 0) continue;
        std::fprintf(stderr, "stress_tree: process %zu hangs in: %s\n", i,
                     shared->processes[i].doing);
        kill(workers[i], SIGKILL);
      }
      return false;
    }
  }
  return ok;
}

void PrintTable(const SharedState& shared) {
  uint64_t all = 0, failed = 0;
  for (size_t operation = 0; operation < kOperations; ++operation) {
    std::string line;
    for (int error = 0; error < kMaxErrno; ++error) {
      uint64_t count = 0;
      for (int i = 0; i < FLAGS_processes; ++i) {
        count += shared.processes[i].outcomes[operation][error];
      }
      if (count == 0) continue;
      all += count;
      if (error != 0) failed += count;
      line += std::string(" ") + (error == 0 ? "ok" : strerrorname_np(error)) + "=" +
              std::to_string(count);
    }
    if (FLAGS_table) {
      std::printf("%-18s%s\n", NameOf(static_cast<Operation>(operation)), line.c_str());
    }
  }
  std::printf("%llu operations, %llu of them with an error that may be\n",
              static_cast<unsigned long long>(all), static_cast<unsigned long long>(failed));
}

int Run(const std::string& directory) {
  const std::string playground = directory + "/stress";
  void* const memory =
      mmap(nullptr, sizeof(SharedState), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Die("mmap");
  auto* const shared = static_cast<SharedState*>(memory);  // zeros are its first state
  const int start = open(".", O_PATH | O_CLOEXEC);
  if (!MakePlayground(playground)) return Die(playground);

  std::vector<pid_t> workers;
  for (int i = 0; i < FLAGS_processes; ++i) {
    const pid_t worker = StartWorker(i, shared);
    if (worker < 0) return Die("fork");
    workers.push_back(worker);
  }
  const auto deadline = steady_clock::now() + std::chrono::seconds(FLAGS_seconds);
  if (!WaitForWorkers(workers, shared, deadline)) return 1;
  PrintTable(*shared);
  if (!CheckTree()) return 1;
  if (fchdir(start) != 0) return Die("fchdir");
  return RemoveTree(playground) ? 0 : 1;
}

}  // namespace
}  // namespace memfuse::stress

int main(int argc, char** argv) {
  gflags::SetUsageMessage("stress_tree [--processes=8] [--seconds=10] [--seed=1] DIRECTORY");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  if (argc != 2 || FLAGS_processes < 1 || FLAGS_processes > memfuse::stress::kMaxProcesses) {
    std::fprintf(stderr, "usage: %s\n", gflags::ProgramUsage());
    return 2;
  }
  return memfuse::stress::Run(argv[1]);
}
