// metadata_ops DIRECTORY: the number of names per second that a file system makes, opens, changes
// or removes.
//
// Several processes, each with its own directory, start together. The objects that an operation
// needs are made before and removed after the measured time. The program prints the results as one
// line of JSON. It does not depend on memfuse and runs on any file system.

#include <fcntl.h>
#include <gflags/gflags.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

DEFINE_string(operation, "create", "the name of one of the operations; '?' lists them");
DEFINE_int32(count, 20000, "how often each process carries it out");
DEFINE_int32(processes, 1, "how many work at the same time");

namespace memfuse::bench {
namespace {

using std::chrono::steady_clock;

// Repeatable operations cycle through as many files as a directory often has, so that the names are
// looked up again each time.
constexpr int kFilesToGoAround = 1000;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "metadata_ops: %s: %s\n", what.c_str(), std::strerror(errno));
  std::_Exit(1);
}

void Check(bool good, const std::string& what) {
  if (!good) Die(what);
}

// Made before the measured time.
std::vector<std::string> Names(char kind, int count) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(count));
  char name[16];
  for (int i = 0; i < count; ++i) {
    std::snprintf(name, sizeof(name), "%c%07d", kind, i);
    names.emplace_back(name);
  }
  return names;
}

void Create(const std::string& name) {
  const int fd = open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  Check(fd >= 0, name);
  close(fd);
}

void Unlink(const std::string& name) { Check(unlink(name.c_str()) == 0, name); }
void MakeDirectory(const std::string& name) { Check(mkdir(name.c_str(), 0755) == 0, name); }
void RemoveDirectory(const std::string& name) { Check(rmdir(name.c_str()) == 0, name); }

void OpenAndClose(const std::string& name) {
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  Check(fd >= 0, name);
  close(fd);
}

void Stat(const std::string& name) {
  struct stat status;
  Check(stat(name.c_str(), &status) == 0, name);
}

void MissLookup(const std::string& name) {
  struct stat status;
  Check(stat(name.c_str(), &status) != 0 && errno == ENOENT, name);
}

// `lap`: the number of completed passes over the files.
void ChangeMode(const std::string& name, int lap) {
  Check(chmod(name.c_str(), lap % 2 == 0 ? 0600 : 0644) == 0, name);
}

void Rename(const std::string& name, const std::string& other, int lap) {
  const std::string& from = lap % 2 == 0 ? name : other;
  const std::string& to = lap % 2 == 0 ? other : name;
  Check(rename(from.c_str(), to.c_str()) == 0, from);
}

// One operation of one process, whose working directory is empty.
struct Work {
  explicit Work(int file_count)
      : count(file_count),
        around(std::min(file_count, kFilesToGoAround)),
        names(Names('f', file_count)),
        others(Names('g', around)) {}

  template <typename Action>
  void Each(Action action) const {
    for (const std::string& name : names) action(name);
  }
  // Calls action(name, other name, lap) `count` times.
  template <typename Action>
  void GoAround(Action action) const {
    for (int i = 0; i < count; ++i) {
      const auto file = static_cast<size_t>(i % around);
      action(names[file], others[file], i / around);
    }
  }
  void MakeFilesToGoAround() const {
    for (int i = 0; i < around; ++i) Create(names[static_cast<size_t>(i)]);
  }
  // Removes each file under its final name.
  void RemoveFilesToGoAround() const {
    for (int i = 0; i < around; ++i) {
      const auto file = static_cast<size_t>(i);
      if (unlink(names[file].c_str()) != 0) Unlink(others[file]);
    }
  }

  const int count;
  const int around;
  const std::vector<std::string> names, others;
};

struct Operation {
  const char* name;
  void (*prepare)(const Work&);
  void (*run)(const Work&);
  void (*clean_up)(const Work&);
};

void Nothing(const Work& /*work*/) {}
void MakeFew(const Work& work) { work.MakeFilesToGoAround(); }
void RemoveFew(const Work& work) { work.RemoveFilesToGoAround(); }
void MakeAll(const Work& work) { work.Each(Create); }
void RemoveAll(const Work& work) { work.Each(Unlink); }

constexpr Operation kOperations[] = {
    {"create", Nothing, MakeAll, RemoveAll},
    {"open_close", MakeFew,
     [](const Work& work) {
       work.GoAround([](const std::string& name, auto&&...) { OpenAndClose(name); });
     },
     RemoveFew},
    {"chmod", MakeFew,
     [](const Work& work) {
       work.GoAround([](const std::string& name, const std::string& /*other*/, int lap) {
         ChangeMode(name, lap);
       });
     },
     RemoveFew},
    {"rename", MakeFew, [](const Work& work) { work.GoAround(Rename); }, RemoveFew},
    {"unlink", MakeAll, RemoveAll, Nothing},
    {"mkdir", Nothing, [](const Work& work) { work.Each(MakeDirectory); },
     [](const Work& work) { work.Each(RemoveDirectory); }},
    {"stat", MakeFew,
     [](const Work& work) {
       work.GoAround([](const std::string& name, auto&&...) { Stat(name); });
     },
     RemoveFew},
    // Every name once: the second time the kernel may answer from its cache.
    {"lookup_miss", Nothing, [](const Work& work) { work.Each(MissLookup); }, Nothing},
};

const Operation* FindOperation(const std::string& name) {
  for (const Operation& operation : kOperations) {
    if (name == operation.name) return &operation;
  }
  return nullptr;
}

// The time of the operations of one process.
struct Span {
  steady_clock::time_point begin, end;
};

// The process writes to `ready` when its preparation is complete, and reads from `go` until the
// other end is closed.
void RunProcess(const Operation& operation, const std::string& directory, int ready, int go,
                Span* span) {
  MakeDirectory(directory);
  Check(chdir(directory.c_str()) == 0, directory);
  const Work work(FLAGS_count);
  operation.prepare(work);
  char byte = 0;
  Check(write(ready, &byte, 1) == 1, "pipe");
  while (read(go, &byte, 1) < 0) Check(errno == EINTR, "pipe");
  span->begin = steady_clock::now();
  operation.run(work);
  span->end = steady_clock::now();
  operation.clean_up(work);
  Check(chdir("/") == 0, "/");
  RemoveDirectory(directory);
}

// Whether every process succeeded.
bool WaitForAll(const std::vector<pid_t>& processes) {
  bool good = true;
  for (const pid_t process : processes) {
    int status;
    good &= waitpid(process, &status, 0) == process && status == 0;
  }
  return good;
}

int Run(const Operation& operation, const std::string& directory) {
  const auto processes = static_cast<size_t>(FLAGS_processes);
  void* const memory = mmap(nullptr, processes * sizeof(Span), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  Check(memory != MAP_FAILED, "mmap");
  auto* const spans = static_cast<Span*>(memory);
  int ready[2], go[2];
  Check(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0, "pipe");

  const pid_t parent = getpid();
  std::vector<pid_t> children;
  for (size_t i = 0; i < processes; ++i) {
    const pid_t child = fork();
    Check(child >= 0, "fork");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) std::_Exit(1);
      close(go[1]);
      RunProcess(operation, directory + "/metadata_ops." + std::to_string(i), ready[1], go[0],
                 &spans[i]);
      std::_Exit(0);
    }
    children.push_back(child);
  }
  // The stream ends early if a process died. That process has printed its error.
  close(ready[1]);
  close(go[0]);
  size_t waiting = 0;
  char byte;
  while (waiting < processes && read(ready[0], &byte, 1) == 1) ++waiting;
  if (waiting < processes) {
    for (const pid_t child : children) kill(child, SIGKILL);
  }
  close(go[1]);
  if (!WaitForAll(children)) return 1;

  Span all = spans[0];
  for (size_t i = 1; i < processes; ++i) {
    all.begin = std::min(all.begin, spans[i].begin);
    all.end = std::max(all.end, spans[i].end);
  }
  const double seconds = std::chrono::duration<double>(all.end - all.begin).count();
  const double operations = static_cast<double>(processes) * FLAGS_count;
  std::printf(
      "{\"operation\": \"%s\", \"processes\": %zu, \"count\": %d, \"seconds\": %.6f, "
      "\"operations_per_second\": %.1f}\n",
      operation.name, processes, FLAGS_count, seconds, operations / seconds);
  return 0;
}

int Main(int argc, char** argv) {
  gflags::SetUsageMessage("DIRECTORY --operation=NAME [--count=N] [--processes=P]");
  gflags::ParseCommandLineFlags(&argc, &argv, /*remove_flags=*/true);
  const Operation* operation = FindOperation(FLAGS_operation);
  if (argc != 2 || operation == nullptr || FLAGS_count < 1 || FLAGS_processes < 1) {
    std::fprintf(stderr, "usage: metadata_ops DIRECTORY --operation=");
    for (const Operation& known : kOperations) {
      std::fprintf(stderr, "%s%s", &known == kOperations ? "" : "|", known.name);
    }
    std::fprintf(stderr, " [--count=N] [--processes=P]\n");
    return 2;
  }
  return Run(*operation, argv[1]);
}

}  // namespace
}  // namespace memfuse::bench

int main(int argc, char** argv) { return memfuse::bench::Main(argc, argv); }
