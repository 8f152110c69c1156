// What the stress program does, and which errors each operation may come back with.

#ifndef MEMFUSE_TESTS_STRESS_OPERATIONS_H_
#define MEMFUSE_TESTS_STRESS_OPERATIONS_H_

#include <cstddef>

namespace memfuse::stress {

enum class Operation {
  kMkdir,
  kRmdir,
  kCreate,
  kOpen,
  kWrite,
  kRead,
  kTruncate,
  kPunch,
  kUnlink,
  kLink,
  kSymlink,
  kReadlink,
  kStat,
  kReaddir,
  kRename,
  kRenameNoReplace,
  kRenameExchange,
  kMoveOwn,
  kRemoveAll,
};
inline constexpr size_t kOperations = static_cast<size_t>(Operation::kRemoveAll) + 1;

const char* NameOf(Operation operation);

// Whether tmpfs may answer so where others change the same few names at any moment.
bool MayFailWith(Operation operation, int error);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_OPERATIONS_H_
