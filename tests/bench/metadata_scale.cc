// metadata_scale DIRECTORY --phase=PHASE: the cost of an operation among very many files.
//
// `populate` makes --files empty files with names of 12 bytes, --per_directory to a directory. The
// other phases use --sample of them, selected by --seed, or all. Each run of the program executes
// one phase, so that the caller can drop the kernel's caches in between. The program prints the
// number of operations and their time as one line of JSON.

#include <dirent.h>
#include <fcntl.h>
#include <gflags/gflags.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

DEFINE_string(phase, "populate", "populate, lookup, unlink, create, list or remove");
DEFINE_int64(files, 1000, "how many there are");
DEFINE_int64(per_directory, 1000, "how many of them are in one directory");
DEFINE_int64(sample, 1000, "how many of them a phase works on");
DEFINE_uint64(seed, 1, "of the choice; 'unlink' and 'create' with the same one belong together");

namespace memfuse::bench {
namespace {

using std::chrono::steady_clock;

void Check(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "metadata_scale: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

std::string Directory(int64_t file) {
  char name[32];
  std::snprintf(name, sizeof(name), "d%07lld", static_cast<long long>(file / FLAGS_per_directory));
  return name;
}

std::string Path(int64_t file) {
  char name[32];
  std::snprintf(name, sizeof(name), "/f%011lld", static_cast<long long>(file));
  return Directory(file) + name;
}

std::vector<std::string> Paths(const std::vector<int64_t>& files) {
  std::vector<std::string> paths;
  paths.reserve(files.size());
  for (const int64_t file : files) paths.push_back(Path(file));
  return paths;
}

// Distinct files, in random order.
std::vector<int64_t> Sample() {
  std::vector<int64_t> sample;
  if (FLAGS_sample >= FLAGS_files) {
    sample.resize(static_cast<size_t>(FLAGS_files));
    std::iota(sample.begin(), sample.end(), 0);
    std::shuffle(sample.begin(), sample.end(), std::mt19937_64(FLAGS_seed));
    return sample;
  }
  std::mt19937_64 random(FLAGS_seed);
  std::set<int64_t> chosen;
  while (sample.size() < static_cast<size_t>(FLAGS_sample)) {
    const auto file = static_cast<int64_t>(random() % static_cast<uint64_t>(FLAGS_files));
    if (chosen.insert(file).second) sample.push_back(file);
  }
  return sample;
}

void Create(const std::string& path) {
  const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  Check(fd >= 0, path);
  close(fd);
}

void Unlink(const std::string& path) { Check(unlink(path.c_str()) == 0, path); }

void Stat(const std::string& path) {
  struct stat status;
  Check(stat(path.c_str(), &status) == 0, path);
}

void MakeDirectory(const std::string& path) { Check(mkdir(path.c_str(), 0755) == 0, path); }
void RemoveDirectory(const std::string& path) { Check(rmdir(path.c_str()) == 0, path); }

// Calls action(path) for one file of each directory.
template <typename Action>
void EachDirectory(Action action) {
  for (int64_t file = 0; file < FLAGS_files; file += FLAGS_per_directory) action(Directory(file));
}

// Reads and stats a directory as `ls -l` does; returns the number of entries.
int64_t List(const std::string& path) {
  DIR* const directory = opendir(path.c_str());
  Check(directory != nullptr, path);
  int64_t entries = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    struct stat status;
    Check(fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0, path);
    ++entries;
  }
  closedir(directory);
  return entries;
}

// As many directories as contain --sample files.
int64_t ListDirectories() {
  std::set<std::string> directories;
  for (const int64_t file : Sample()) {
    if (static_cast<int64_t>(directories.size()) * FLAGS_per_directory >= FLAGS_sample) break;
    directories.insert(Directory(file));
  }
  int64_t entries = 0;
  for (const std::string& directory : directories) entries += List(directory);
  return entries;
}

// The number of operations, and their start.
struct Phase {
  int64_t operations = 0;
  steady_clock::time_point begin = steady_clock::now();
};

template <typename Action>
Phase EachOf(const std::vector<std::string>& paths, Action action) {
  Phase phase = {static_cast<int64_t>(paths.size())};
  for (const std::string& path : paths) action(path);
  return phase;
}

template <typename Action>
Phase EachFile(Action action) {
  Phase phase = {FLAGS_files};
  for (int64_t file = 0; file < FLAGS_files; ++file) action(Path(file));
  return phase;
}

bool RunPhase(Phase* phase) {
  if (FLAGS_phase == "populate") {
    EachDirectory(MakeDirectory);
    *phase = EachFile(Create);
  } else if (FLAGS_phase == "lookup") {
    *phase = EachOf(Paths(Sample()), Stat);
  } else if (FLAGS_phase == "unlink") {
    *phase = EachOf(Paths(Sample()), Unlink);
  } else if (FLAGS_phase == "create") {
    *phase = EachOf(Paths(Sample()), Create);
  } else if (FLAGS_phase == "list") {
    *phase = Phase();
    phase->operations = ListDirectories();
  } else if (FLAGS_phase == "remove") {
    *phase = EachFile(Unlink);
    EachDirectory(RemoveDirectory);
  } else {
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  gflags::SetUsageMessage("DIRECTORY --phase=PHASE [--files=N] [--per_directory=N] [--sample=N]");
  gflags::ParseCommandLineFlags(&argc, &argv, /*remove_flags=*/true);
  if (argc != 2 || FLAGS_files < 1 || FLAGS_per_directory < 1 || FLAGS_sample < 1) {
    std::fprintf(stderr, "usage: metadata_scale %s\n", gflags::ProgramUsage());
    return 2;
  }
  Check(chdir(argv[1]) == 0, argv[1]);
  Phase phase;
  if (!RunPhase(&phase)) {
    std::fprintf(stderr, "metadata_scale: there is no phase '%s'\n", FLAGS_phase.c_str());
    return 2;
  }
  const double seconds = std::chrono::duration<double>(steady_clock::now() - phase.begin).count();
  std::printf("{\"phase\": \"%s\", \"operations\": %lld, \"seconds\": %.6f}\n", FLAGS_phase.c_str(),
              static_cast<long long>(phase.operations), seconds);
  return 0;
}

}  // namespace
}  // namespace memfuse::bench

int main(int argc, char** argv) { return memfuse::bench::Main(argc, argv); }
