// A system call of a random sequence as data. It can be generated from a seed, replayed on any
// directory, removed from a sequence during minimisation, and printed.

#ifndef MEMFUSE_TESTS_STRESS_DIFFERENTIAL_OPERATION_H_
#define MEMFUSE_TESTS_STRESS_DIFFERENTIAL_OPERATION_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace memfuse::differential {

enum class Call : uint8_t {
  kOpen,
  kClose,
  kRead,
  kWrite,
  kPread,
  kPwrite,
  kLseek,
  kFtruncate,
  kTruncate,
  kFallocate,
  kCopyFileRange,
  kMapRead,
  kMapWrite,
  kFsync,
  kMkdir,
  kRmdir,
  kUnlink,
  kRename,
  kLink,
  kSymlink,
  kReadlink,
  kMknod,
  kTmpfile,
  kStat,
  kFstat,
  kAccess,
  kChmod,
  kFchmod,
  kChown,
  kUtimens,
  kSetxattr,
  kGetxattr,
  kListxattr,
  kRemovexattr,
  kSetAcl,
  kList,
  kSetUser,
  kUmask,
  kCount,
};

// The meaning of the numbers depends on the call (see Execute). No field depends on state, so an
// operation is meaningful at any position of a sequence.
struct Operation {
  Call call = Call::kStat;
  std::string path;
  std::string other;  // second path, link target, xattr name
  int slot = 0;       // open file
  int other_slot = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  int64_t flags = 0;
  int64_t mode = 0;
  uint32_t salt = 0;  // the content is generated from it

  std::string ToString() const;
};

inline constexpr int kSlots = 6;

std::string_view NameOf(Call call);

// The same seed gives the same operations on every machine.
std::vector<Operation> Generate(uint64_t seed, size_t count);

}  // namespace memfuse::differential

#endif  // MEMFUSE_TESTS_STRESS_DIFFERENTIAL_OPERATION_H_
