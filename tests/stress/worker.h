// A process of the stress program: random operations on the same few names as all other processes.

#ifndef MEMFUSE_TESTS_STRESS_WORKER_H_
#define MEMFUSE_TESTS_STRESS_WORKER_H_

#include <cstdint>
#include <random>
#include <string>

#include "tests/stress/shared_state.h"

namespace memfuse::stress {

inline constexpr int kTopDirectories = 4;
inline constexpr int kNames = 7;

// Directories in the working directory. They are made before the workers start and never renamed;
// each contains a file per process that stays there.
std::string TopDirectory(int index);
std::string KeptFile(int process);
// A directory per process, into which it moves the trees that it removes as a whole.
std::string Grave(int process);

class Worker {
 public:
  // Works in the current directory.
  Worker(int process, int processes, uint64_t seed, SharedState* shared);

  // Runs operations until stop is set. A violation is printed and ends the process with status 1.
  void Run();

 private:
  void Step();

  void Mkdir();
  void Rmdir();
  void Create();
  void Write();
  void Read();
  void Truncate();
  void Punch();
  void Unlink();
  void Link();
  void Symlink();
  void Readlink();
  void Stat();
  void Readdir();
  void Rename();
  void MoveOwn();
  void RemoveAll();

  // An open file with its lock held; -1 if there was none to open.
  int OpenLocked(int flags, int lock);
  void CheckWhole(int fd);
  void GrowBack(int fd, uint64_t size);
  uint64_t CheckSize(int fd, uint64_t size);

  uint64_t Random(uint64_t below) { return random_() % below; }
  std::string RandomName();
  std::string RandomPath();

  // Records the next operation, for messages.
  void Begin(Operation operation, std::string what);
  // Counts the outcome; result < 0 means errno. Returns whether the operation succeeded.
  bool End(int64_t result);
  [[noreturn]] void Fail(const std::string& why);

  const int process_;
  const int processes_;
  const uint64_t seed_;
  SharedState* const shared_;
  ProcessState* const state_;
  std::mt19937_64 random_;
  uint64_t writes_ = 0;
  Operation operation_ = Operation::kStat;
  std::string own_;  // the path of this process's own file
};

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_WORKER_H_
