#include "tests/stress/differential/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <gflags/gflags.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/stress/differential/content.h"

DEFINE_bool(
    exact_holes, true,
    "Compare SEEK_DATA, SEEK_HOLE and st_blocks also while files are open; not so for "
    "--data=daemon, where holes that the kernel has read may count as data until the file is "
    "closed");

namespace memfuse::differential {
namespace {

// The result of a call, as text.
std::string Outcome(int64_t result) {
  return result < 0 ? absl::StrCat("errno ", strerrorname_np(errno)) : absl::StrCat(result);
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// The times of one object, before and after an operation.
class TimeProbe {
 public:
  TimeProbe(int dir, std::string path) : dir_(dir), path_(std::move(path)) {
    known_ = fstatat(dir_, path_.c_str(), &before_, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0;
  }

  std::string Movement() const {
    struct stat after;
    if (!known_ || fstatat(dir_, path_.c_str(), &after, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 ||
        after.st_ino != before_.st_ino) {
      return " -";
    }
    return absl::StrCat(" m", Moved(before_.st_mtim, after.st_mtim), "c",
                        Moved(before_.st_ctim, after.st_ctim), "a",
                        Moved(before_.st_atim, after.st_atim));
  }

 private:
  static const char* Moved(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec ? "=" : "+";
  }

  const int dir_;
  const std::string path_;
  bool known_;
  struct stat before_;
};

// A time that an operation set is compared to the nanosecond. Other times are only checked to be
// recent.
std::string TimeText(const timespec& time, int64_t started) {
  if (time.tv_sec >= started && time.tv_sec < started + 1000000) return "recent";
  return absl::StrCat(time.tv_sec, ".", time.tv_nsec);
}

std::string StatText(const struct stat& s, int64_t started, bool exact_holes) {
  // Inline data takes less than a page on memfuse, and whole pages on tmpfs. The target of a
  // symbolic link is in the inode on one, and may be in a page on the other.
  int64_t pages = S_ISLNK(s.st_mode) ? 0 : (s.st_blocks + 7) / 8;
  // A file without pages reports one page as long as the kernel may hold data that the daemon does
  // not know of.
  if (!exact_holes && S_ISREG(s.st_mode)) pages = std::max<int64_t>(pages, 1);
  const uint64_t rdev = S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode) ? s.st_rdev : 0;
  return absl::StrCat("mode 0", absl::StrFormat("%o", s.st_mode), " nlink ", s.st_nlink, " uid ",
                      s.st_uid, " gid ", s.st_gid, " size ", s.st_size, " pages ", pages, " rdev ",
                      rdev, " mtime ", TimeText(s.st_mtim, started), " atime ",
                      TimeText(s.st_atim, started));
}

timespec PickTime(uint32_t salt) {
  switch (salt % 8) {
    case 0:
      return {0, UTIME_NOW};
    case 1:
      return {0, UTIME_OMIT};
    case 2:
      return {-2147483648LL - salt % 100, 999999999};  // 1901
    case 3:
      return {15032385535LL, 1};  // 2446
    case 4:
      return {0, 1000000000};  // EINVAL
    default:
      return {1000000000 + salt % 1000, salt % 1000000000};
  }
}

uid_t PickId(uint32_t salt) {
  static constexpr std::array<uid_t, 5> kIds = {static_cast<uid_t>(-1), 0, 1001, 1002, 2000};
  return kIds[salt % kIds.size()];
}

std::string MakeAcl(uint32_t salt) {
  struct Entry {
    uint16_t tag, permissions;
    uint32_t id;
  };
  constexpr uint32_t kNone = 0xffffffff;
  const auto bits = [salt](int shift) { return static_cast<uint16_t>(salt >> shift & 7); };
  std::vector<Entry> entries = {{0x01, bits(0), kNone}, {0x04, bits(3), kNone}};
  if (salt % 3 != 0) {
    entries.insert(entries.begin() + 1, {0x02, bits(9), 1001});
    entries.push_back({0x08, bits(12), 2000});
    entries.push_back({0x10, bits(15), kNone});
  }
  entries.push_back({0x20, bits(6), kNone});
  if (salt % 17 == 0) entries.pop_back();  // no longer valid
  std::string bytes("\2\0\0\0", 4);
  bytes.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(Entry));
  return bytes;
}

bool IsOfType(int fd, mode_t type) {
  struct stat s;
  return fstat(fd, &s) == 0 && (s.st_mode & S_IFMT) == type;
}

// Whether a page of the range reads as zeros. False if the descriptor is not open for reading.
bool HasZeroPage(int fd, off_t from, off_t to) {
  std::array<char, 4096> page;
  for (off_t at = from; at < to; at += static_cast<off_t>(page.size())) {
    const ssize_t n = pread(fd, page.data(), page.size(), at);
    if (n <= 0) return false;
    if (std::all_of(page.begin(), page.begin() + n, [](char c) { return c == 0; })) return true;
  }
  return false;
}

// tmpfs allocates pages for holes that are read through a mapping. A FUSE server does not see that.
bool HasHole(int fd, off_t from, off_t to) {
  if (!FLAGS_exact_holes) return HasZeroPage(fd, from, to);
  const off_t position = lseek(fd, 0, SEEK_CUR);
  const off_t hole = lseek(fd, from, SEEK_HOLE);
  lseek(fd, position, SEEK_SET);
  return hole < to;
}

std::string ListDirectory(int fd) {
  DIR* const dir = fdopendir(fd);
  if (dir == nullptr) return Outcome(-1);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir)) {
    names.push_back(absl::StrCat(entry->d_name, ":", entry->d_type));
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return absl::StrJoin(names, ",");
}

std::string SortedNames(const char* list, ssize_t size) {
  std::vector<std::string> names;
  for (const char* at = list; at < list + size; at += names.back().size() + 1) {
    names.emplace_back(at);
  }
  std::sort(names.begin(), names.end());
  return absl::StrJoin(names, ",");
}

// tmpfs takes timestamps from a clock that ticks every few milliseconds, and no event announces a
// tick. A time that was set twice within one tick is unchanged. The loop ends, because the clock
// always advances.
void AwaitTick() {
  timespec start;
  clock_gettime(CLOCK_REALTIME_COARSE, &start);
  for (timespec now = start; now.tv_sec == start.tv_sec && now.tv_nsec == start.tv_nsec;) {
    usleep(200);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
  }
}

int64_t Now() { return time(nullptr); }

}  // namespace

World::World(const std::string& directory)
    : root_(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), started_(Now() - 86400) {}

void World::CloseAll() {
  for (base::UniqueFd& slot : slots_) slot.reset();
}

std::string World::Execute(const Operation& op) {
  // The test checks the times of some operations only. The check waits for a tick of the kernel's
  // clock, and its calls change the kernel's caches.
  if (op.salt % 40 != 0 || op.call == Call::kSetUser) return Run(op);
  std::vector<TimeProbe> probes;
  probes.reserve(5);
  probes.emplace_back(root_.get(), op.path);
  probes.emplace_back(root_.get(), ParentOf(op.path));
  probes.emplace_back(root_.get(), op.other);
  probes.emplace_back(root_.get(), ParentOf(op.other));
  if (slots_[op.slot].valid()) probes.emplace_back(slots_[op.slot].get(), "");
  AwaitTick();
  std::string text = Run(op);
  for (const TimeProbe& probe : probes) text += probe.Movement();
  return text;
}

std::string World::Run(const Operation& op) {
  const int dir = root_.get();
  const char* const path = op.path.c_str();
  const char* const other = op.other.c_str();
  base::UniqueFd& slot = slots_[op.slot];
  const int fd = slot.get();
  const auto flags = static_cast<int>(op.flags);
  const auto mode = static_cast<mode_t>(op.mode);
  const auto offset = static_cast<off_t>(op.offset);
  switch (op.call) {
    case Call::kOpen:
      slot.reset(openat(dir, path, flags | O_NONBLOCK | O_CLOEXEC, mode & 07777));
      return slot.valid() ? "opened" : Outcome(-1);
    case Call::kTmpfile:
      slot.reset(openat(dir, path, O_TMPFILE | O_RDWR | O_CLOEXEC, mode & 07777));
      return slot.valid() ? "opened" : Outcome(-1);
    case Call::kClose: {
      const bool was = slot.valid();
      slot.reset();
      return was ? "closed" : "none";
    }
    case Call::kRead:
    case Call::kPread: {
      if (IsOfType(fd, S_IFIFO)) return "a pipe";
      std::string buffer(op.length, '\0');
      const ssize_t n = op.call == Call::kRead ? read(fd, buffer.data(), buffer.size())
                                               : pread(fd, buffer.data(), buffer.size(), offset);
      if (n < 0) return Outcome(-1);
      return absl::StrCat(n, " bytes ", Digest(buffer.data(), static_cast<size_t>(n)));
    }
    case Call::kWrite:
    case Call::kPwrite: {
      // The kernel implements pipes itself; on FUSE it does not update their times.
      if (IsOfType(fd, S_IFIFO)) return "a pipe";
      const std::string data = MakeContent(op.salt, op.length);
      return Outcome(op.call == Call::kWrite ? write(fd, data.data(), data.size())
                                             : pwrite(fd, data.data(), data.size(), offset));
    }
    case Call::kLseek:
      // On directories of a FUSE mount the kernel answers by itself, by other rules than for tmpfs.
      if (IsOfType(fd, S_IFDIR)) return "a directory";
      return Outcome(lseek(fd, op.salt % 7 == 0 ? -offset : offset,
                           !FLAGS_exact_holes && flags >= SEEK_DATA ? SEEK_CUR : flags));
    case Call::kFtruncate:
      return Outcome(ftruncate(fd, offset));
    case Call::kTruncate: {
      // truncate(2) takes no directory descriptor.
      const std::string full = absl::StrCat("/proc/self/fd/", dir, "/", op.path);
      // With passthrough an empty file's times move, as with O_TRUNC.
      struct stat now;
      if (offset == 0 && stat(full.c_str(), &now) == 0 && S_ISREG(now.st_mode) &&
          now.st_size == 0) {
        return "an empty file";
      }
      return Outcome(truncate(full.c_str(), offset));
    }
    case Call::kFallocate:
      return Outcome(fallocate(fd, flags, offset, static_cast<off_t>(op.length)));
    case Call::kCopyFileRange: {
      off64_t in = static_cast<off64_t>(op.offset);
      off64_t out = static_cast<off64_t>(op.salt % 100000);
      return Outcome(copy_file_range(fd, &in, slots_[op.other_slot].get(), &out, op.length, 0));
    }
    case Call::kMapRead:
    case Call::kMapWrite: {
      struct stat s;
      if (fstat(fd, &s) != 0) return Outcome(-1);
      const int64_t start = static_cast<int64_t>(op.salt % 16) * 4096;
      const int64_t length = std::min<int64_t>(static_cast<int64_t>(op.length), s.st_size - start);
      if (!S_ISREG(s.st_mode) || length <= 0) return "nothing to map";
      if (op.call == Call::kMapRead && HasHole(fd, start, start + length)) return "a hole";
      const int protection = op.call == Call::kMapRead ? PROT_READ : PROT_READ | PROT_WRITE;
      void* const at =
          mmap(nullptr, static_cast<size_t>(length), protection, MAP_SHARED, fd, start);
      if (at == MAP_FAILED) return Outcome(-1);
      std::string text;
      if (op.call == Call::kMapWrite) {
        // Stores before loads. tmpfs maps pages for reading writable at once, and stores to these
        // move no time.
        const std::string data = MakeContent(op.salt, static_cast<size_t>(length));
        std::memcpy(at, data.data(), data.size());
        text = Outcome(msync(at, static_cast<size_t>(length), MS_SYNC));
      }
      text += Digest(static_cast<char*>(at), static_cast<size_t>(length));
      munmap(at, static_cast<size_t>(length));
      return text;
    }
    case Call::kFsync:
      return Outcome(op.salt % 2 == 0 ? fsync(fd) : fdatasync(fd));
    case Call::kMkdir:
      return Outcome(mkdirat(dir, path, mode & 07777));
    case Call::kRmdir:
      return Outcome(unlinkat(dir, path, AT_REMOVEDIR));
    case Call::kUnlink:
      return Outcome(unlinkat(dir, path, 0));
    case Call::kRename:
      return Outcome(syscall(SYS_renameat2, dir, path, dir, other, flags));
    case Call::kLink:
      if (op.salt % 5 == 0) return Outcome(linkat(fd, "", dir, other, AT_EMPTY_PATH));
      return Outcome(linkat(dir, path, dir, other, flags));
    case Call::kSymlink:
      return Outcome(symlinkat(other, dir, path));
    case Call::kReadlink: {
      char target[5000];
      const ssize_t n = readlinkat(dir, path, target, sizeof(target));
      return n < 0 ? Outcome(-1) : std::string(target, static_cast<size_t>(n));
    }
    case Call::kMknod:
      // Majors for local use. No driver handles such a device.
      return Outcome(mknodat(dir, path, mode, makedev(240 + op.salt % 7, op.salt % 100000)));
    case Call::kStat: {
      struct stat s;
      if (fstatat(dir, path, &s, flags) != 0) return Outcome(-1);
      return StatText(s, started_, FLAGS_exact_holes);
    }
    case Call::kFstat: {
      struct stat s;
      return fstat(fd, &s) != 0 ? Outcome(-1) : StatText(s, started_, FLAGS_exact_holes);
    }
    case Call::kAccess:
      return Outcome(faccessat(dir, path, flags, AT_EACCESS));
    case Call::kChmod:
      return Outcome(fchmodat(dir, path, mode & 07777, 0));
    case Call::kFchmod:
      return Outcome(fchmod(fd, mode & 07777));
    case Call::kChown: {
      // Not from nobody to nobody: through FUSE that looks like a write to a set-id file.
      const uid_t uid = PickId(op.salt);
      const gid_t gid = uid == static_cast<uid_t>(-1) ? 1001 : PickId(op.salt / 5);
      return Outcome(fchownat(dir, path, uid, gid, flags));
    }
    case Call::kUtimens: {
      const timespec times[2] = {PickTime(op.salt), PickTime(op.salt / 8)};
      return Outcome(utimensat(dir, path, times, flags));
    }
    case Call::kList: {
      const int opened = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      return opened < 0 ? Outcome(-1) : ListDirectory(opened);
    }
    case Call::kSetUser:
      BecomeUser(op.salt % 4);
      return "";
    case Call::kUmask: {
      static constexpr std::array<mode_t, 4> kMasks = {022, 0, 077, 027};
      umask(kMasks[op.salt % kMasks.size()]);
      return "";
    }
    default:
      return RunXattr(op);
  }
}

std::string World::RunXattr(const Operation& op) {
  const bool follow = (op.flags & AT_SYMLINK_NOFOLLOW) == 0;
  const std::string path = absl::StrCat("/proc/self/fd/", root_.get(), "/", op.path);
  const char* const at = path.c_str();
  const char* const name = op.other.c_str();
  switch (op.call) {
    case Call::kSetxattr: {
      const std::string value =
          MakeContent(op.salt, op.length > 60000 ? op.length : op.length % 300);
      return Outcome(lsetxattr(at, name, value.data(), value.size(), static_cast<int>(op.flags)));
    }
    case Call::kGetxattr: {
      char value[70000];
      const size_t room = op.salt % 4 == 0 ? op.salt % 300 : sizeof(value);
      const ssize_t n = follow ? getxattr(at, name, value, room) : lgetxattr(at, name, value, room);
      if (n < 0) return Outcome(-1);
      return absl::StrCat(n, " ", room == 0 ? "" : Digest(value, static_cast<size_t>(n)));
    }
    case Call::kListxattr: {
      char list[70000];
      const ssize_t n =
          follow ? listxattr(at, list, sizeof(list)) : llistxattr(at, list, sizeof(list));
      return n < 0 ? Outcome(-1) : SortedNames(list, n);
    }
    case Call::kRemovexattr:
      return Outcome(follow ? removexattr(at, name) : lremovexattr(at, name));
    case Call::kSetAcl: {
      const char* const acl =
          op.flags == 0 ? "system.posix_acl_access" : "system.posix_acl_default";
      if (op.salt % 5 == 0) return Outcome(removexattr(at, acl));
      const std::string value = MakeAcl(op.salt / 7);
      return Outcome(setxattr(at, acl, value.data(), value.size(), 0));
    }
    default:
      return "unknown call";
  }
}

void BecomeUser(int64_t which) {
  static constexpr std::array<uid_t, 4> kUsers = {0, 0, 1001, 1002};
  const uid_t user = kUsers[static_cast<size_t>(which)];
  static constexpr gid_t kShared = 2000;
  // Changes to root first, because an unprivileged user cannot become another one.
  if (seteuid(0) != 0 || setegid(user) != 0 || setgroups(user == 0 ? 0 : 1, &kShared) != 0 ||
      seteuid(user) != 0) {
    std::perror("cannot change the user");
    std::abort();
  }
}

std::string World::Describe() const {
  return DescribeTree(root_.get(), [this](const struct stat& s) {
    return StatText(s, started_, /*exact_holes=*/true);
  });
}

}  // namespace memfuse::differential
