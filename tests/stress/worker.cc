#include "tests/stress/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/stress/remove_tree.h"

namespace memfuse::stress {

std::string TopDirectory(int index) { return "t" + std::to_string(index); }
std::string KeptFile(int process) { return "kept" + std::to_string(process); }
std::string Grave(int process) { return "grave" + std::to_string(process); }

Worker::Worker(int process, int processes, uint64_t seed, SharedState* shared)
    : process_(process),
      processes_(processes),
      seed_(seed),
      shared_(shared),
      state_(&shared->processes[process]),
      random_(seed * 1000 + static_cast<uint64_t>(process)),
      own_(TopDirectory(0) + "/own" + std::to_string(process)) {}

void Worker::Run() {
  Begin(Operation::kMoveOwn, "make " + own_);
  const int fd = open(own_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  End(fd);
  close(fd);
  while (!shared_->stop.load(std::memory_order_relaxed)) {
    Step();
    state_->steps.fetch_add(1, std::memory_order_relaxed);
  }
}

void Worker::Step() {
  // Frequent enough that the tree stays small while the other processes move directories below each
  // other.
  if (Random(200) == 0) return RemoveAll();
  switch (Random(20)) {
    case 0:
    case 1:
      return Mkdir();
    case 2:
      return Rmdir();
    case 3:
      return Create();
    case 4:
    case 5:
    case 6:
      return Write();
    case 7:
    case 8:
      return Read();
    case 9:
      return Random(3) == 0 ? Punch() : Truncate();
    case 10:
    case 11:
      return Unlink();
    case 12:
      return Link();
    case 13:
      return Symlink();
    case 14:
      return Readlink();
    case 15:
      return Stat();
    case 16:
      return Readdir();
    case 17:
    case 18:
      return Rename();
    default:
      return MoveOwn();
  }
}

std::string Worker::RandomName() { return "n" + std::to_string(Random(kNames)); }

std::string Worker::RandomPath() {
  std::string path = TopDirectory(static_cast<int>(Random(kTopDirectories)));
  // Mostly directly below, where most operations of the other processes are.
  const uint64_t dice = Random(10);
  const int depth = dice < 5 ? 1 : dice < 8 ? 2 : 3;
  for (int i = 0; i < depth; ++i) path += "/" + RandomName();
  return path;
}

void Worker::Begin(Operation operation, std::string what) {
  operation_ = operation;
  what.resize(std::min(what.size(), sizeof(state_->doing) - 1));
  std::memcpy(state_->doing, what.c_str(), what.size() + 1);
}

bool Worker::End(int64_t result) {
  const int error = result < 0 ? errno : 0;
  if (error >= kMaxErrno) Fail(strerror(error));
  ++state_->outcomes[static_cast<size_t>(operation_)][error];
  if (error != 0 && !MayFailWith(operation_, error)) Fail(strerror(error));
  return error == 0;
}

void Worker::Fail(const std::string& why) {
  std::fprintf(stderr, "stress_tree: seed %llu, process %d, step %llu: %s (%s): %s\n",
               static_cast<unsigned long long>(seed_), process_,
               static_cast<unsigned long long>(state_->steps.load()), NameOf(operation_),
               state_->doing, why.c_str());
  std::_Exit(1);
}

void Worker::Mkdir() {
  const std::string path = RandomPath();
  Begin(Operation::kMkdir, path);
  End(mkdir(path.c_str(), 0755));
}

void Worker::Rmdir() {
  const std::string path = RandomPath();
  Begin(Operation::kRmdir, path);
  End(rmdir(path.c_str()));
}

void Worker::Create() {
  const std::string path = RandomPath();
  Begin(Operation::kCreate, path);
  const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
  if (!End(fd)) return;
  struct stat attributes;
  Begin(Operation::kWrite, "fstat of new " + path);
  End(fstat(fd, &attributes));
  if (!S_ISREG(attributes.st_mode)) Fail("a new file is no regular file");
  close(fd);
}

void Worker::Unlink() {
  const std::string path = RandomPath();
  Begin(Operation::kUnlink, path);
  End(unlink(path.c_str()));
}

void Worker::Link() {
  const std::string from = RandomPath();
  const std::string to = RandomPath();
  Begin(Operation::kLink, from + " " + to);
  End(link(from.c_str(), to.c_str()));
}

void Worker::Symlink() {
  std::string target = RandomName();
  switch (Random(3)) {
    case 0:
      target = "../" + target;
      break;
    case 1:
      target = "../" + TopDirectory(static_cast<int>(Random(kTopDirectories))).append("/") + target;
      break;
    default:
      break;
  }
  const std::string path = RandomPath();
  Begin(Operation::kSymlink, target + " " + path);
  End(symlink(target.c_str(), path.c_str()));
}

void Worker::Readlink() {
  const std::string path = RandomPath();
  char target[PATH_MAX];
  Begin(Operation::kReadlink, path);
  const ssize_t n = readlink(path.c_str(), target, sizeof(target));
  if (!End(n)) return;
  const std::string text(target, static_cast<size_t>(n));
  if (text.find_first_not_of("./tn0123456789") != std::string::npos) {
    Fail("a target that no process made: " + text);
  }
}

void Worker::Stat() {
  const std::string path = RandomPath();
  struct stat attributes;
  Begin(Operation::kStat, path);
  if (!End(Random(2) == 0 ? stat(path.c_str(), &attributes) : lstat(path.c_str(), &attributes))) {
    return;
  }
  const mode_t type = attributes.st_mode & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK) Fail("an unknown file type");
}

void Worker::Readdir() {
  const bool top = Random(2) == 0;
  const std::string path =
      top ? TopDirectory(static_cast<int>(Random(kTopDirectories))) : RandomPath();
  Begin(Operation::kReaddir, path);
  DIR* const dir = opendir(path.c_str());
  if (!End(dir == nullptr ? -1 : 0)) return;
  std::map<std::string, int> seen;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(dir);
    if (entry == nullptr) break;
    ++seen[entry->d_name];
    if (entry->d_ino == 0) Fail(std::string("no inode number: ") + entry->d_name);
  }
  if (errno != 0) Fail(std::string("in the middle: ") + strerror(errno));
  closedir(dir);
  // A removed directory has no entries at all, not even "." and "..".
  if (seen.empty() && !top) return;
  if (seen["."] != 1 || seen[".."] != 1) Fail("the dots are not there once");
  if (!top) return;
  for (int i = 0; i < processes_; ++i) {
    if (seen[KeptFile(i)] != 1) {
      Fail(KeptFile(i) + " is there " + std::to_string(seen[KeptFile(i)]) + " times");
    }
  }
}

void Worker::Rename() {
  static constexpr struct {
    Operation operation;
    unsigned flags;
  } kKinds[] = {{Operation::kRename, 0},
                {Operation::kRenameNoReplace, RENAME_NOREPLACE},
                {Operation::kRenameExchange, RENAME_EXCHANGE}};
  const auto& kind = kKinds[Random(3)];
  const std::string from = RandomPath();
  const std::string to = RandomPath();
  Begin(kind.operation, from + " " + to);
  End(renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), kind.flags));
}

// No other process touches this file: renaming it always succeeds, and it has one name.
void Worker::MoveOwn() {
  const std::string to =
      TopDirectory(static_cast<int>(Random(kTopDirectories))) + "/own" + std::to_string(process_);
  struct stat before, after;
  Begin(Operation::kMoveOwn, own_ + " " + to);
  End(lstat(own_.c_str(), &before));
  if (to == own_) return;
  End(renameat2(AT_FDCWD, own_.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE));
  End(lstat(to.c_str(), &after));
  if (before.st_ino != after.st_ino || after.st_nlink != 1) Fail("it is another file afterwards");
  if (lstat(own_.c_str(), &before) == 0 || errno != ENOENT) Fail("the old name is still there");
  own_ = to;
}

// rm -rf, while all other processes work in the tree.
void Worker::RemoveAll() {
  const std::string path =
      TopDirectory(static_cast<int>(Random(kTopDirectories))) + "/" + RandomName();
  const std::string grave = Grave(process_);
  const std::string to = grave + "/all";
  Begin(Operation::kRemoveAll, path);
  if (!End(renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE))) return;
  const std::string wrong = EmptyDirectory(grave);
  if (!wrong.empty()) Fail(wrong);
}

}  // namespace memfuse::stress
