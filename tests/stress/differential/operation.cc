#include "tests/stress/differential/operation.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "tests/testing/kernel_version.h"

namespace memfuse::differential {
namespace {

// Computes with the engine's own numbers, because distributions differ between standard libraries.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t Below(uint64_t n) { return engine_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  T Pick(const std::array<T, N>& from) {
    return from[Below(N)];
  }
  uint32_t Salt() { return static_cast<uint32_t>(engine_()); }

 private:
  std::mt19937_64 engine_;
};

std::string Name(Dice& dice) {
  // Few names, so that operations collide; sometimes a name at the length limits.
  static const std::array<std::string, 6> kNames = {"a", "b", "c", "d", "e", "f"};
  if (!dice.OneIn(60)) return dice.Pick(kNames);
  switch (dice.Below(5)) {
    case 0:
      return std::string(255, 'n');
    case 1:
      return std::string(256, 'n');
    case 2:
      return ".";
    case 3:
      return "..";
    default:
      return "\xff\x01 \n\"";
  }
}

std::string Path(Dice& dice) {
  std::string path = Name(dice);
  const uint64_t depth = dice.Below(20);
  if (depth >= 10) path += "/" + Name(dice);
  if (depth >= 17) path += "/" + Name(dice);
  if (dice.OneIn(50)) path += "/";
  // ".." could leave the directory of the sequence.
  if (path.rfind("..", 0) == 0) path = "a/" + path;
  return path;
}

uint64_t Offset(Dice& dice) {
  switch (dice.Below(12)) {
    case 0:
      return 0;
    case 1:
    case 2:
    case 3:
      return dice.Below(4096);
    case 4:
    case 5:
    case 6:
      return dice.Below(40000);
    case 7:
    case 8:
      return dice.Below(64) * 4096;
    case 9:
      return dice.Below(4 << 20);
    case 10:
      return (uint64_t{1} << (20 + dice.Below(43))) - dice.Below(3);
    default:
      return 2040 + dice.Below(16);
  }
}

uint64_t Length(Dice& dice) {
  switch (dice.Below(8)) {
    case 0:
      return dice.Below(3);
    case 1:
      return 4096 * dice.Below(4);
    case 2:
      return dice.Below(70000);
    case 3:
      return dice.OneIn(10) ? dice.Below(3 << 20) : 4096;
    default:
      return dice.Below(6000);
  }
}

int64_t Mode(Dice& dice) {
  static const std::array<int64_t, 12> kModes = {0644, 0755, 0777,  0600,  0700,  0000,
                                                 0666, 0444, 01777, 02775, 04755, 06711};
  return dice.OneIn(4) ? static_cast<int64_t>(dice.Below(010000)) : dice.Pick(kModes);
}

std::string XattrName(Dice& dice) {
  static const std::array<std::string, 9> kNames = {"user.a",     "user.b", "trusted.a",
                                                    "security.a", "user.",  "security.capability",
                                                    "system.x",   "a",      "user.long"};
  std::string name = dice.Pick(kNames);
  if (name == "user.long") name.append(dice.Below(260), 'x');
  // tmpfs has no user extended attributes before Linux 6.6.
  if (name.compare(0, 5, "user.") == 0 && !test::KernelAtLeast(6, 6)) {
    name.replace(0, 5, "trusted.");
  }
  return name;
}

int64_t OpenFlags(Dice& dice) {
  static const std::array<int64_t, 3> kAccess = {O_RDONLY, O_WRONLY, O_RDWR};
  int64_t flags = dice.OneIn(2) ? O_RDWR : dice.Pick(kAccess);
  if (!dice.OneIn(3)) flags |= O_CREAT;
  if (dice.OneIn(6)) flags |= O_EXCL;
  if (dice.OneIn(5)) flags |= O_TRUNC;
  if (dice.OneIn(5)) flags |= O_APPEND;
  if (dice.OneIn(12)) flags |= O_NOFOLLOW;
  if (dice.OneIn(15)) flags |= O_DIRECTORY;
  if (dice.OneIn(25)) flags |= O_PATH;
  if (dice.OneIn(25)) flags |= O_NOATIME;
  return flags;
}

// The relative frequency of each call.
int Weight(Call call) {
  switch (call) {
    case Call::kOpen:
      return 14;
    case Call::kWrite:
    case Call::kPwrite:
    case Call::kRead:
    case Call::kPread:
    case Call::kRename:
    case Call::kMkdir:
    case Call::kStat:
      return 6;
    case Call::kSetUser:
    case Call::kUmask:
    case Call::kFsync:
    case Call::kSetAcl:
    case Call::kMapWrite:
      return 2;
    default:
      return 3;
  }
}

Call PickCall(Dice& dice) {
  static const std::vector<Call> kWheel = [] {
    std::vector<Call> wheel;
    for (int i = 0; i < static_cast<int>(Call::kCount); ++i) {
      wheel.insert(wheel.end(), static_cast<size_t>(Weight(static_cast<Call>(i))),
                   static_cast<Call>(i));
    }
    return wheel;
  }();
  return kWheel[dice.Below(kWheel.size())];
}

int64_t CallFlags(Call call, Dice& dice) {
  switch (call) {
    case Call::kOpen:
      return OpenFlags(dice);
    case Call::kLseek: {
      static const std::array<int64_t, 5> kWhence = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA,
                                                     SEEK_HOLE};
      return dice.Pick(kWhence);
    }
    case Call::kFallocate: {
      static const std::array<int64_t, 4> kModes = {
          0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_PUNCH_HOLE};
      return dice.Pick(kModes);
    }
    case Call::kRename: {
      static const std::array<int64_t, 8> kFlags = {0,
                                                    0,
                                                    0,
                                                    0,
                                                    RENAME_NOREPLACE,
                                                    RENAME_EXCHANGE,
                                                    RENAME_WHITEOUT,
                                                    RENAME_EXCHANGE | RENAME_NOREPLACE};
      return dice.Pick(kFlags);
    }
    case Call::kLink:
      return dice.OneIn(3) ? AT_SYMLINK_FOLLOW : 0;
    case Call::kStat:
    case Call::kChown:
    case Call::kUtimens:
    case Call::kGetxattr:
    case Call::kListxattr:
    case Call::kRemovexattr:
      return dice.OneIn(2) ? AT_SYMLINK_NOFOLLOW : 0;
    case Call::kSetxattr: {
      static const std::array<int64_t, 4> kFlags = {0, 0, XATTR_CREATE, XATTR_REPLACE};
      return dice.Pick(kFlags);
    }
    case Call::kAccess:
      return static_cast<int64_t>(dice.Below(8));
    case Call::kSetAcl:
      return static_cast<int64_t>(dice.Below(2));
    default:
      return 0;
  }
}

}  // namespace

std::string_view NameOf(Call call) {
  static constexpr std::string_view kNames[] = {
      "open",      "close",     "read",      "write",       "pread",           "pwrite",
      "lseek",     "ftruncate", "truncate",  "fallocate",   "copy_file_range", "map_read",
      "map_write", "fsync",     "mkdir",     "rmdir",       "unlink",          "rename",
      "link",      "symlink",   "readlink",  "mknod",       "tmpfile",         "stat",
      "fstat",     "access",    "chmod",     "fchmod",      "chown",           "utimens",
      "setxattr",  "getxattr",  "listxattr", "removexattr", "setacl",          "list",
      "setuser",   "umask"};
  static_assert(std::size(kNames) == static_cast<size_t>(Call::kCount));
  return kNames[static_cast<size_t>(call)];
}

std::string Operation::ToString() const {
  const auto quoted = [](const std::string& s) {
    std::string out = "\"";
    for (const char c : s) {
      if (c < ' ' || c > '~' || c == '"') {
        absl::StrAppend(&out, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
      } else {
        out.push_back(c);
      }
    }
    return out + "\"";
  };
  return absl::StrCat(std::string(NameOf(call)), "(", quoted(path), ", ", quoted(other), ", slot ",
                      slot, "/", other_slot, ", offset ", offset, ", length ", length, ", flags 0x",
                      absl::Hex(flags), ", mode 0x", absl::Hex(mode), ", salt ", salt, ")");
}

std::vector<Operation> Generate(uint64_t seed, size_t count) {
  Dice dice(seed);
  std::vector<Operation> operations(count);
  for (Operation& op : operations) {
    op.call = PickCall(dice);
    op.path = Path(dice);
    op.other = Path(dice);
    op.slot = static_cast<int>(dice.Below(kSlots));
    op.other_slot = static_cast<int>(dice.Below(kSlots));
    op.offset = Offset(dice);
    op.length = Length(dice);
    op.mode = Mode(dice);
    op.flags = CallFlags(op.call, dice);
    op.salt = dice.Salt();
    switch (op.call) {
      case Call::kSetxattr:
      case Call::kGetxattr:
      case Call::kRemovexattr:
        op.other = XattrName(dice);
        if (dice.OneIn(300)) op.length = 65530 + dice.Below(10);
        break;
      case Call::kSymlink:
        if (dice.OneIn(30)) op.other = std::string(1 + dice.Below(4200), 't');
        break;
      case Call::kFallocate:
        // An allocation uses real memory on both sides.
        op.length = dice.Below(200000);
        if (dice.OneIn(40)) op.offset = uint64_t{1} << 62;
        break;
      case Call::kMknod: {
        static const std::array<int64_t, 6> kTypes = {S_IFIFO, S_IFREG, S_IFSOCK,
                                                      S_IFCHR, S_IFBLK, S_IFDIR};
        op.mode |= dice.Pick(kTypes);
        break;
      }
      default:
        break;
    }
  }
  return operations;
}

}  // namespace memfuse::differential
