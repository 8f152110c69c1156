#include "tests/testing/sleeping_thread.h"

#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace memfuse::test {

bool SleepsIn(pid_t tid, SystemCalls calls) {
  // The number of the call and its arguments; "running"; or -1 for a sleep outside of a call, such
  // as a page fault.
  std::ifstream file("/proc/" + std::to_string(tid) + "/syscall");
  long call;
  return file >> call && std::find(calls.begin(), calls.end(), call) != calls.end();
}

std::vector<pid_t> ThreadsWithName(const std::string& name) {
  std::vector<pid_t> threads;
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return threads;
  while (const dirent* const task = readdir(tasks)) {
    std::ifstream file(std::string("/proc/self/task/") + task->d_name + "/comm");
    std::string found;
    if (std::getline(file, found) && found == name) threads.push_back(std::atoi(task->d_name));
  }
  closedir(tasks);
  return threads;
}

bool AwaitState(absl::FunctionRef<bool()> condition) {
  const auto deadline = std::chrono::steady_clock::now() + kWaitLimit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

bool AwaitSleep(pid_t tid, SystemCalls calls) {
  return AwaitState([&] { return SleepsIn(tid, calls); });
}

bool AwaitSleep(const std::string& name, SystemCalls calls) {
  return AwaitState([&] {
    const std::vector<pid_t> threads = ThreadsWithName(name);
    return std::any_of(threads.begin(), threads.end(),
                       [&](pid_t tid) { return SleepsIn(tid, calls); });
  });
}

}  // namespace memfuse::test
